"""REINFORCE in PyTorch: episodes are joined whole, and the state survives a restart."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pole import make_batch as make_batch

from tinyqueue.algorithms.bare import Problem
from tinyqueue.algorithms.registry import find
from tinyqueue.data.spaces import Leaf
from tinyqueue.errors import ConfigError
from tinyqueue.policy.graphs import OwnPolicy

torch = pytest.importorskip("torch", reason="the example needs tinyqueue[torch]")

# PyTorch's exporter uses parts of PyTorch that PyTorch itself has deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

FILE = Path(__file__).parents[2] / "examples" / "reinforce.py"
POLE = {"": Leaf("float32", (4,))}
PUSH = {"": Leaf("uint8", (), n=2)}


@pytest.fixture(scope="module")
def made():
    def make(seen=POLE, actions=PUSH, **settings: Any) -> Any:
        kind: Any = find(f"{FILE}:Reinforce")
        return kind(kind.Config(hidden=4, **settings), Problem(seen, actions, seed=3))

    return make


@pytest.fixture
def numbered(make_batch):
    """Batch n of a stage: 4 ticks of 2 slots whose observations and rewards say where they are."""

    def make(n, *, terminated=(), truncated=(), steps=(0, 0), stage="a" * 32):
        batch = make_batch(n, stage=stage)
        ticks = np.arange(4 * n, 4 * n + 5)[:, None] + np.array([0, 100])
        batch.observations[""][:] = ticks[..., None]
        batch.rewards[:] = ticks[:-1]
        for places, ends in ((terminated, batch.terminated), (truncated, batch.truncated)):
            for tick, slot in places:
                ends[tick, slot] = True
                if tick < 3:
                    batch.valid[tick + 1, slot] = False
        return replace(batch, carry={"episode_steps": np.array(steps, np.int32)})

    return make


def steps_of(episodes):
    return [(piece.rewards.tolist(), last is not None) for piece, last in episodes]


def test_episodes_are_joined_across_batches(made, numbered):
    made()
    module = sys.modules[find(f"{FILE}:Reinforce").__module__]
    joined = module.WholeEpisodes()

    assert joined.add(numbered(0, terminated=[(1, 0)])) != []
    # Slot 0 began its second at tick 3; slot 1 goes on from tick 0.
    done = joined.add(numbered(1, terminated=[(1, 0)], truncated=[(0, 1)], steps=(1, 4)))

    assert steps_of(done) == [([3, 4, 5], False), ([100, 101, 102, 103, 104], True)]
    (_, last) = done[1]
    assert last.tolist() == [105] * 4
    # The stage is gone for a batch: nothing of it can be joined.
    assert steps_of(joined.add(numbered(3, terminated=[(1, 0)], steps=(5, 6)))) == []


def test_returns_are_discounted_from_the_end(made):
    made()
    module = sys.modules[find(f"{FILE}:Reinforce").__module__]
    # 3 + 0.5·8; 2 + 0.5·7; 1 + 0.5·5.5.
    assert module.returns(np.array([1, 2, 3]), 8.0, 0.5).tolist() == [3.75, 5.5, 7.0]


def test_the_graph_that_is_exported_is_the_policy(made):
    algorithm = made()
    policy = OwnPolicy(algorithm.graph, algorithm.weights, "reinforce.py:Reinforce")
    seen = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)

    outputs, _ = policy.runner.run({"": seen}, {})

    with torch.no_grad():
        expected = algorithm._policy(torch.from_numpy(seen)).numpy()
    np.testing.assert_allclose(outputs["logits"], expected, atol=1e-6)
    assert str(FILE.parent).encode() not in algorithm.graph


def test_it_goes_on_from_its_state(made, numbered):
    # Given one update more than the state has
    algorithm, resumed = made(steps_per_update=2), made(steps_per_update=2)
    algorithm.update([numbered(0, terminated=[(1, 0), (2, 1)])], 0)
    resumed.restore(algorithm.state())

    for each in (algorithm, resumed):
        each.update([numbered(0, terminated=[(1, 0), (2, 1)], stage="b" * 32)], 0)

    after = resumed.state()
    assert any(name.startswith("adam/") for name in after)
    for name, array in algorithm.state().items():
        np.testing.assert_allclose(after[name], array, rtol=1e-6, err_msg=name)


def test_spaces_that_it_does_not_know_are_refused(made):
    with pytest.raises(ConfigError, match=r"one Discrete action; .*2 numbers from -1 to 1"):
        made(actions={"": Leaf("float32", (2,), low=-1.0, high=1.0)})
