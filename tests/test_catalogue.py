"""Experiments that come along, and the check of every experiment."""

import re
from pathlib import Path

import pytest

from tinyqueue.algorithms.impala import A3cConfig, ImpalaConfig
from tinyqueue.catalogue import make_experiment, preset_for, presets
from tinyqueue.errors import UnknownNameError
from tinyqueue.experiment.documents import read_document

FILES = Path(__file__).parents[1] / "config" / "experiments"


def test_every_file_of_the_checkout_is_a_preset():
    assert presets() == {path.stem: path for path in sorted(FILES.glob("*.toml"))}
    assert "cartpole-impala" in presets()


@pytest.mark.parametrize("path", sorted(FILES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_preset_is_an_experiment_of_its_own_name(path):
    experiment = make_experiment(read_document(path))

    assert experiment.name == path.stem


@pytest.mark.parametrize("path", sorted(FILES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_number_of_a_preset_has_a_source_or_a_reason_beside_it(path):
    lines = path.read_text().splitlines()

    bare = [line for line in lines if " = " in line and not line.startswith("#")]
    unsaid = [line for line in bare if re.search(r"= -?\d", line) and "# " not in line]
    assert unsaid == ["seed = 0"]


def test_an_environments_preset_is_that_of_the_default_algorithm():
    assert preset_for("CartPole-v1").stem == "cartpole-impala"
    assert preset_for("ALE/Pong-v5").stem == "pong-ppo"
    assert preset_for("LunarLander-v3").stem == "lunarlander-ppo"
    assert preset_for("Acrobot-v1").stem == "acrobot-rainbow-lite"
    assert preset_for("Blackjack-v1").stem == "blackjack-dqn"
    assert preset_for("Nothing-v0") is None


@pytest.mark.parametrize(("name", "n_step"), [("q-1step", 1), ("q-nstep", 5)])
def test_asynchronous_q_learning_comes_along_with_a_replay_as_short_as_a_queue(name, n_step):
    experiment = make_experiment(read_document(presets()[f"cartpole-{name}"]))

    algorithm, replay = experiment.algorithm, experiment.replay
    batch_steps = experiment.session.ticks * experiment.session.slots
    assert (experiment.algorithm_name, algorithm.n_step) == (name, n_step)
    assert (algorithm.prioritised, algorithm.exploration) == (False, "by-slot")
    assert replay.minimum_steps < replay.capacity_steps <= 32 * batch_steps
    assert experiment.stop.max_env_steps == 100_000


def test_algorithms_have_configs_of_their_own():
    environment = {"environment": {"id": "CartPole-v1"}}

    assert isinstance(make_experiment(environment).algorithm, ImpalaConfig)
    a3c = make_experiment({**environment, "algorithm": {"name": "a3c"}})
    assert isinstance(a3c.algorithm, A3cConfig)
    with pytest.raises(UnknownNameError, match="did you mean 'impala'"):
        make_experiment({**environment, "algorithm": {"name": "impela"}})
