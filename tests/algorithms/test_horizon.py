"""Where a schedule ends before its run does."""

import pytest

from tinyqueue.algorithms.horizon import beyond_horizon, horizon
from tinyqueue.algorithms.registry import ALGORITHMS
from tinyqueue.catalogue import make_experiment, presets
from tinyqueue.experiment.documents import read_document

ANNEALED = [name for name, entry in ALGORITHMS.items() if hasattr(entry.Config(), "anneal_steps")]


def config(name, **values):
    return ALGORITHMS[name].Config(**values)


@pytest.mark.parametrize("name", ANNEALED)
@pytest.mark.parametrize(("limit", "is_told"), [(999, False), (1000, False), (1001, True)])
def test_a_run_that_goes_on_at_rate_zero_is_told_by_every_algorithm(name, limit, is_told):
    said = beyond_horizon(config(name, anneal_steps=1000), limit)

    assert bool(said) == is_told
    if is_told:
        assert "algorithm.learning_rate falls to 0 at 1,000 env steps" in said
        assert said.endswith("Write --set algorithm.anneal_steps=1001.")


@pytest.mark.parametrize("name", ANNEALED)
def test_a_run_without_a_last_env_step_is_told(name):
    said = beyond_horizon(config(name, anneal_steps=1000), None)

    assert "--max-env-steps 1000" in said
    assert "--set algorithm.anneal_steps=N" in said


@pytest.mark.parametrize("name", ANNEALED)
def test_a_schedule_that_ends_above_zero_has_no_end(name):
    assert horizon(config(name)) is None
    assert horizon(config(name, anneal_steps=1000, learning_rate_end=1e-5)) is None


def test_a_clip_that_falls_to_zero_ends_learning_too():
    both = config("ppo", anneal_steps=1000, clip_end=0.0)
    clip_alone = config("ppo", anneal_steps=1000, clip_end=0.0, learning_rate_end=1e-5)

    assert horizon(both).settings == ("learning_rate", "clip")
    assert horizon(clip_alone).settings == ("clip",)
    assert horizon(config("ppo", anneal_steps=1000)).settings == ("learning_rate",)


@pytest.mark.parametrize("path", presets().values(), ids=lambda path: path.stem)
def test_no_preset_trains_beyond_its_own_horizon(path):
    experiment = make_experiment(read_document(path))

    assert beyond_horizon(experiment.algorithm, experiment.stop.max_env_steps) == ""
