"""Whether it learns: head, runner, export and update together, in one process."""

from __future__ import annotations

import numpy as np
import pytest

from tinyqueue.algorithms.registry import ALGORITHMS
from tinyqueue.data.session import Header, SessionBatch
from tinyqueue.data.spaces import Array, Leaf
from tinyqueue.models.mlp import MlpConfig, build
from tinyqueue.policy.export import PolicyExport
from tinyqueue.policy.heads import make_head
from tinyqueue.policy.runner import PolicyRunner

CELLS, LIMIT, TICKS, SLOTS = 7, 20, 16, 32
ACTIONS = {"": Leaf("uint8", (), n=2)}
OBSERVATIONS = {"": Leaf("uint8", (), n=CELLS)}


class Corridor:
    """From the middle of seven cells, the right end gives 1, the left end 0; both end it.

    Truncated after 20 steps; next-step autoreset.
    """

    def __init__(self) -> None:
        self.cells = np.full(SLOTS, CELLS // 2)
        self._steps = np.zeros(SLOTS, int)
        self._ended = np.zeros(SLOTS, bool)

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array]:
        """Rewards, terminated, truncated, valid."""
        valid = ~self._ended
        self._steps = np.where(valid, self._steps + 1, 0)
        moved = self.cells + np.where(actions == 1, 1, -1)
        self.cells = np.where(valid, moved, CELLS // 2)
        terminated = valid & ((self.cells == 0) | (self.cells == CELLS - 1))
        truncated = valid & ~terminated & (self._steps >= LIMIT)
        self._ended = terminated | truncated
        return np.float32(valid & (self.cells == CELLS - 1)), terminated, truncated, valid


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_it_learns_to_walk_to_the_right(name: str) -> None:
    # Given an untrained policy, and one-version-old weights on the player
    entry = ALGORITHMS[name]
    config = entry.config(learning_rate=0.003)
    outputs = entry.outputs(ACTIONS, config)
    network = build(OBSERVATIONS, ACTIONS, outputs, MlpConfig(hidden=(32,)), 0)
    trained = entry.make(config, network, ACTIONS)
    export = PolicyExport(network, trained.acting_outputs)
    runner = PolicyRunner(export.graph, export.arrays(), 0)
    head = make_head(trained.head, trained.head_config, ACTIONS)
    rng = np.random.default_rng(0)
    corridor = Corridor()
    shares = []
    for update in range(60):
        batch = play(corridor, runner, head, rng)
        ended = batch.terminated | batch.truncated
        shares.append(batch.rewards.sum() / max(ended.sum(), 1))
        runner = runner.with_weights(export.arrays(), update)
        trained.update([batch], update * TICKS * SLOTS)
    # Then at first half of the games end on the right, and in the end nearly all
    assert np.mean(shares[:3]) < 0.7
    assert np.mean(shares[-5:]) > 0.97


def play(
    corridor: Corridor, runner: PolicyRunner, head: object, rng: np.random.Generator
) -> SessionBatch:
    head.begin(TICKS, SLOTS, rng, 0)  # type: ignore[attr-defined]
    observations, actions, results = [corridor.cells.astype(np.uint8)], [], []
    for tick in range(TICKS):
        outputs, _ = runner.run({"": observations[-1]}, {})
        actions.append(head.act(tick, outputs))  # type: ignore[attr-defined]
        results.append(corridor.step(actions[-1]))
        observations.append(corridor.cells.astype(np.uint8))
    rewards, terminated, truncated, valid = (np.stack(x) for x in zip(*results, strict=True))
    return SessionBatch(
        Header("e", "r", "0" * 32, 0, "u", "p", 0, 0),
        {"": np.stack(observations)},
        {"": np.stack(actions)},
        rewards,
        terminated,
        truncated,
        valid,
        head.recorded(),  # type: ignore[attr-defined]
    )
