"""A run whose model or algorithm its spaces decided goes on under the file that began it."""

from __future__ import annotations

from dataclasses import replace

from tinyqueue.algorithms.default import as_begun, with_default_algorithm, with_fitting_updates
from tinyqueue.catalogue import make_experiment
from tinyqueue.cli.learner import _as_given, _newest
from tinyqueue.data.spaces import Leaf
from tinyqueue.models.default import with_default_model
from tinyqueue.run.run_directory import RunDirectory

IMAGE = {"": Leaf("uint8", (10, 10, 3), low=0.0, high=255.0)}


def test_a_model_that_was_chosen_at_start_is_still_the_same_experiment():
    given = make_experiment({"environment": {"id": "CartPole-v1"}, "model": {"core": "gru"}})
    kept = make_experiment(with_default_model(given, IMAGE).document())
    assert kept.model_name == "multi-input"
    assert _as_given(kept, given) == given.document()

    named = make_experiment({"environment": {"id": "CartPole-v1"}, "model": {"name": "mlp"}})
    assert _as_given(kept, named) != named.document()


def test_an_algorithm_that_was_chosen_and_fitted_at_start_is_still_the_same_experiment():
    # Given a run for real actions, whose slow steps gave it small batches
    reals = {"": Leaf("float32", (2,))}
    given = make_experiment({"environment": {"id": "Arm-v0"}})
    chosen = with_default_algorithm(given, reals, {"": Leaf("float32", (4,))})
    small = chosen.session.model_copy(update={"ticks": 64, "slots": 1, "task_limit_s": 40.0})
    fitted = with_fitting_updates(replace(chosen, session=small))
    kept = make_experiment(fitted.document())
    assert kept.learner.batches_per_update == 8

    # Then the same command goes on with it, and one with another setting does not
    begun = as_begun(given, kept)
    assert _as_given(kept, begun) == begun.document()
    other = make_experiment({"environment": {"id": "Arm-v0"}, "algorithm": {"gamma": 0.5}})
    assert _as_given(kept, as_begun(other, kept)) != as_begun(other, kept).document()


def test_the_newest_run_is_found_under_the_name_that_it_got(tmp_path):
    assert _newest(tmp_path, ["arm-impala", "arm-ppo"]) is None

    RunDirectory.create(tmp_path, {"name": "arm-ppo"}, {}).close()

    assert _newest(tmp_path, ["arm-impala", "arm-ppo"]) == tmp_path / "arm-ppo" / "1"
    assert _newest(tmp_path, ["arm-impala"]) is None
