"""The algorithm of an experiment that names none."""

from __future__ import annotations

from typing import Any

import pytest

from tinyqueue.algorithms.default import as_begun, names_of, with_default_algorithm
from tinyqueue.catalogue import make_experiment, presets
from tinyqueue.data.spaces import Leaf, Space
from tinyqueue.errors import ConfigError
from tinyqueue.experiment.documents import read_document
from tinyqueue.experiment.experiment import Experiment

REALS: Space = {"": Leaf("float32", (3,), low=-1.0, high=1.0)}
PUSHES: Space = {"": Leaf("uint8", (), 2)}
SEEN: Space = {"": Leaf("float32", (4,))}
IMAGE: Space = {"": Leaf("uint8", (10, 10, 3), low=0.0, high=255.0)}


def given(**tables: Any) -> Experiment:
    environment = {"id": "Arm-v0", **tables.pop("environment", {})}
    return make_experiment({"environment": environment, **tables})


def chosen(**tables: Any) -> Experiment:
    return with_default_algorithm(given(**tables), REALS, SEEN)


@pytest.mark.parametrize("preset", ["hopper-ppo", "halfcheetah-ppo"])
def test_real_numbers_get_the_settings_of_the_presets_for_mujoco(preset: str):
    wanted = make_experiment(read_document(presets()[preset]))

    found = chosen(stop={"max_env_steps": 1_000_000})

    assert (found.name, found.algorithm_name) == ("arm-ppo", "ppo")
    assert found.algorithm == wanted.algorithm
    assert found.model == wanted.model
    assert found.session == wanted.session
    assert found.learner == wanted.learner
    for name in ("normalise_observations", "normalise_rewards"):
        assert getattr(found.environment, name) is getattr(wanted.environment, name) is True


@pytest.mark.parametrize(
    "actions", [PUSHES, {"arm": REALS[""], "gripper": PUSHES[""]}, {"": Leaf("int32", (2,))}]
)
def test_other_actions_keep_the_documented_default(actions: Space):
    experiment = given()
    assert with_default_algorithm(experiment, actions, SEEN) is experiment
    assert (experiment.name, experiment.algorithm_name) == ("arm-impala", "impala")


@pytest.mark.parametrize("name", ["impala", "a3c", "ppo", "sac"])
def test_an_algorithm_that_is_named_is_kept(name: str):
    experiment = given(algorithm={"name": name})
    assert with_default_algorithm(experiment, REALS, SEEN) is experiment


def test_settings_without_a_name_go_to_ppo_if_it_has_them():
    found = chosen(algorithm={"gamma": 0.9, "learning_rate": 1e-3, "anneal_steps": 7})
    assert found.algorithm_name == "ppo"
    assert (found.algorithm.gamma, found.algorithm.learning_rate) == (0.9, 1e-3)
    assert (found.algorithm.anneal_steps, found.algorithm.epochs) == (7, 10)

    assert chosen(algorithm={"rho_clip": 1.0}).algorithm_name == "impala"


def test_what_was_set_is_kept():
    found = chosen(
        name="mine",
        environment={"normalise_observations": False},
        session={"slots": 16},
        learner={"batches_per_update": 3},
        algorithm={"reward_scale": 0.1},
    )

    assert found.name == "mine"
    assert not found.environment.normalise_observations
    # Rewards that are scaled by the user cannot be normalised as well.
    assert not found.environment.normalise_rewards
    assert (found.session.ticks, found.session.slots) == (64, 16)
    assert found.learner.batches_per_update == 3
    assert found.algorithm.minibatches == 32


@pytest.mark.parametrize(
    ("session", "shape", "batches", "minibatches"),
    [
        ({"ticks": 1024}, (1024, 1), 2, 32),
        ({"slots": 1}, (256, 1), 8, 32),
        ({"ticks": 100}, (100, 4), 5, 25),
        ({"ticks": 8, "slots": 1}, (8, 1), 16, 2),
        ({"ticks": 4, "slots": 1}, (4, 1), 16, 1),
        ({"ticks": 97, "slots": 31}, (97, 31), 1, 31),
    ],
)
def test_an_update_fits_the_batches_that_were_set(
    session: dict[str, int], shape: tuple[int, int], batches: int, minibatches: int
):
    found = chosen(session=session)

    assert (found.session.ticks, found.session.slots) == shape
    assert found.learner.batches_per_update == batches
    assert found.algorithm.minibatches == minibatches


def test_with_a_memory_minibatches_share_out_slots():
    assert chosen(model={"core": "gru"}).algorithm.minibatches == 8
    assert chosen(model={"core": "gru"}, session={"slots": 6}).algorithm.minibatches == 12


def test_without_a_last_env_step_the_learning_rate_stays():
    assert chosen(stop={"at_return": 1.0}).algorithm.anneal_steps == 0


def test_images_are_not_normalised():
    environment = with_default_algorithm(given(), REALS, IMAGE).environment
    assert (environment.normalise_observations, environment.normalise_rewards) == (False, True)


def test_a_setting_that_ppo_refuses_is_refused():
    with pytest.raises(ConfigError, match=r"algorithm\.gamma"):
        chosen(algorithm={"gamma": 2.0})


def test_a_run_goes_on_under_the_command_that_began_it():
    experiment = given(stop={"max_env_steps": 1000})
    kept = make_experiment(with_default_algorithm(experiment, REALS, SEEN).document())

    assert names_of(experiment) == ["arm-impala", "arm-ppo"]
    assert as_begun(experiment, kept) == kept
    # A run of the former default is not trained by another algorithm.
    former = make_experiment(experiment.document())
    assert as_begun(experiment, former) is experiment
    named = given(algorithm={"name": "impala"})
    assert names_of(named) == ["arm-impala"]
    assert as_begun(named, kept) is named
