"""Environments of which the policy sees a part."""

import gymnasium
import numpy as np
import pytest

from tinyqueue.data.spaces import Leaf
from tinyqueue.envs.build import make_environment, make_vector, reset_seeded
from tinyqueue.envs.describe import describe, describe_in_child
from tinyqueue.envs.side_by_side import SideBySide
from tinyqueue.errors import ConfigError
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.experiment.experiment import parse_experiment
from tinyqueue.run.toml_text import toml_text


def config(name="CartPole-v1", keep=(0, 2)):
    return EnvironmentConfig(id=name, keep=keep)


def test_a_single_environment_shows_the_entries_in_their_order():
    whole, part = make_environment(config(keep=None)), make_environment(config(keep=(2, 0)))
    seen, shown = whole.reset(seed=1)[0], part.reset(seed=1)[0]
    assert shown.tolist() == [seen[2], seen[0]]
    assert part.observation_space == gymnasium.spaces.Box(
        np.array([-0.41887903, -4.8], np.float32), np.array([0.41887903, 4.8], np.float32)
    )
    assert part.step(1)[0].tolist() == whole.step(1)[0][[2, 0]].tolist()


@pytest.mark.parametrize(("name", "together"), [("CartPole-v1", True), ("Acrobot-v1", False)])
def test_side_by_side_they_play_the_same_game_with_less_to_see(name, together):
    whole, part = make_vector(config(name, None), 3), make_vector(config(name), 3)
    assert isinstance(part, SideBySide) != together
    seen, shown = reset_seeded(whole, 5), reset_seeded(part, 5)
    assert np.array_equal(shown, seen[:, [0, 2]])
    for tick in range(40):
        actions = np.array([tick % 2, 0, 1])
        seen, rewards, *ends, _ = whole.step(actions)
        shown, same_rewards, *same_ends, _ = part.step(actions)
        assert np.array_equal(shown, seen[:, [0, 2]])
        assert np.array_equal(rewards, same_rewards)
        assert np.array_equal(ends, same_ends)
    assert part.single_observation_space.shape == (2,)


def test_the_learner_is_told_of_what_is_seen():
    assert describe(config()).observation_space[""].shape == (2,)
    assert describe_in_child(config()).observation_space == describe(config()).observation_space


@pytest.mark.parametrize("indices", [(0, 4), (1, 1)])
def test_an_index_that_is_not_there_or_twice_is_named(indices):
    with pytest.raises(ConfigError, match=r"keep = \[.*4 entries, so each index must be 0 … 3"):
        make_environment(config(keep=indices))


def test_observations_that_are_no_vector_are_refused():
    with pytest.raises(ConfigError, match=r"entries of a vector, but .* Discrete\(16\)"):
        make_environment(config("FrozenLake-v1", (0,)))


@pytest.mark.parametrize("indices", [[], [-1], [0.5], "0"])
def test_what_is_no_list_of_indices_is_refused_when_it_is_read(indices):
    document = {"environment": {"id": "CartPole-v1", "keep": indices}}
    with pytest.raises(ConfigError, match=r"environment\.keep"):
        parse_experiment(document, algorithms={"impala": Leaf}, models={"mlp": Leaf})


def test_it_is_written_down_as_it_was_read():
    document = config(keep=(0, 2)).model_dump(exclude_none=True)
    assert "keep = [0, 2]" in toml_text({"environment": document})
