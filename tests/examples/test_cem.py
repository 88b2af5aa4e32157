"""The cross-entropy method: who played an episode, and what becomes of its return."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pole import make_batch as make_batch

from tinyqueue.algorithms.bare import Problem
from tinyqueue.algorithms.registry import find
from tinyqueue.data.episodes import Episodes
from tinyqueue.data.spaces import Leaf
from tinyqueue.errors import CheckpointError, ConfigError
from tinyqueue.policy.runner import PolicyRunner

FILE = f"{Path(__file__).parents[2] / 'examples' / 'cem.py'}:CrossEntropy"
POLE = {"": Leaf("float32", (4,))}
PUSH = {"": Leaf("uint8", (), n=2)}
SIZE = 10  # two actions, four numbers and a 1


def made(seen=POLE, actions=PUSH, **settings: Any) -> Any:
    kind: Any = find(FILE)
    return kind(kind.Config(**settings), Problem(seen, actions, seed=3))


def rows(*values):
    """States in which candidates are known by the value of all their parameters."""
    of = [np.append(np.full(SIZE, value), 1) for value in values]
    return np.stack(of).astype(np.float32)


@pytest.fixture
def played(make_batch):
    """A batch of version 7: who began before it, then slots and returns of what ended in it."""

    def make(began, state, slots, returns, version=7):
        batch = make_batch(0, version=version)
        batch.carry["episode_steps"] = np.array(began, np.int32)
        batch.carry["state/candidate"] = state
        zeros = np.zeros(len(slots))
        object.__setattr__(batch, "episodes", Episodes.of(slots, returns, zeros, zeros))
        return batch

    return make


def test_an_episode_that_began_earlier_is_the_carried_candidates(played):
    algorithm = made(generation=100)
    population = algorithm.weights(7)["population"]

    # Slot 0 goes on with a candidate of before, and begins two more; slot 1 begins with the batch.
    batch = played([3, 0], rows(5, 6), [0, 1, 0], [10, 30, 20])
    algorithm.update([batch], 0)

    state = algorithm.state()
    assert state["returns"].tolist() == [10, 30, 20]
    assert state["played"][0].tolist() == [5] * SIZE
    assert np.array_equal(state["played"][1], population[1, :-1])
    assert np.array_equal(state["played"][2], population[0, :-1])


def test_of_an_unknown_version_only_carried_candidates_count(played):
    algorithm = made(generation=100)
    algorithm.update([played([3, 0], rows(5, 6), [0, 1], [10, 30], version=99)], 0)
    assert algorithm.state()["returns"].tolist() == [10]


def test_the_gaussian_moves_to_the_best(played):
    algorithm = made(generation=4, elite=0.5, extra_spread=0.2, extra_generations=2)

    for state, returns in ((rows(1, 2), [10, 40]), (rows(4, 3), [30, 20])):
        algorithm.update([played([1, 1], state, [0, 1], returns)], 0)

    # The best two of four have the parameters 2 and 4: mean 3, variance 1, and 0.2² more.
    after = algorithm.state()
    np.testing.assert_allclose(after["mean"], np.full(SIZE, 3.0))
    np.testing.assert_allclose(after["std"], np.full(SIZE, np.sqrt(1.04)))
    assert after["generation"] == 1
    assert "played" not in after


def test_a_version_is_the_same_population_whenever_it_is_asked_for(played):
    algorithm, again = made(), made()
    first = algorithm.weights(4)["population"].copy()

    algorithm.restore({**algorithm.state(), "mean": np.ones(SIZE)})

    assert np.array_equal(again.weights(4)["population"], first)
    assert first[0].tolist() == [0] * SIZE + [1]
    assert not np.array_equal(again.weights(5)["population"], first)
    np.testing.assert_allclose(
        algorithm.weights(4)["population"][:, :-1], first[:, :-1] + 1, atol=1e-6
    )


def test_a_slot_plays_its_candidate_to_the_episodes_end():
    # Given three environments at their first step, and a population of two
    algorithm = made(population=2)
    seen = {"": np.array([[1, 2, 3, 4]] * 3, np.float32)}
    old = {"population": rows(1, 2)}
    new = {"population": rows(8, 9)}
    runner = PolicyRunner(algorithm.graph, old, 0)

    outputs, state = runner.run(seen, {"candidate": np.zeros((3, SIZE + 1), np.float32)})

    # Then slots play candidates 0, 1 and 0: the sum of 1, 2, 3, 4 and the 1 for the bias.
    assert outputs["q"].tolist() == [[11, 11], [22, 22], [11, 11]]
    assert np.array_equal(state["candidate"], rows(1, 2, 1))
    # And a newer version changes only the slot that begins an episode.
    state = {"candidate": state["candidate"].copy()}
    state["candidate"][2] = 0
    outputs, _ = runner.with_weights(new, 1).run(seen, state)
    assert outputs["q"].tolist() == [[11, 11], [22, 22], [88, 88]]


def test_it_goes_on_from_its_state(played):
    algorithm, resumed = made(generation=4), made(generation=4)
    algorithm.update([played([1, 1], rows(1, 2), [0, 1], [10, 40])], 0)

    resumed.restore(algorithm.state())

    batch = played([1, 1], rows(4, 3), [0, 1], [30, 20])
    algorithm.update([batch], 0)
    resumed.update([batch], 0)
    for name, array in algorithm.state().items():
        assert np.array_equal(resumed.state()[name], array), name
    with pytest.raises(CheckpointError, match=r"10 parameters, .* has 14"):
        made({"": Leaf("float32", (6,))}).restore(algorithm.state())


def test_it_acts_in_several_small_choices_but_not_in_numbers():
    keys = {"": Leaf("uint8", (2,), n=3)}
    graph = made({"a": Leaf("uint8", (2, 2), n=9), "b": Leaf("float32", ())}, keys).graph
    assert len(graph) > 0
    with pytest.raises(ConfigError, match="2 numbers from -1 to 1"):
        made(actions={"": Leaf("float32", (2,), low=-1.0, high=1.0)})
