"""Whether it learns: head, runner, export and update together, in one process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tinyqueue.algorithms.base import Algorithm
from tinyqueue.algorithms.registry import ALGORITHMS
from tinyqueue.data.session import Header, SessionBatch
from tinyqueue.data.spaces import Array, Leaf
from tinyqueue.models.mlp import MlpConfig, build
from tinyqueue.policy.export import PolicyExport
from tinyqueue.policy.heads import Head, make_head
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.replay.replay import Replay

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
        rewards = (valid & (self.cells == CELLS - 1)).astype(np.float32)
        return rewards, terminated, truncated, valid


def made(name: str, **config: Any) -> tuple[Algorithm[Any, Any], PolicyExport]:
    entry = ALGORITHMS[name]
    checked = entry.Config(**config)
    outputs = entry.outputs(ACTIONS, checked)
    network = build(OBSERVATIONS, ACTIONS, outputs, MlpConfig(hidden=(32,)), 0)
    trained = entry(checked, network, ACTIONS)
    return trained, PolicyExport(network, trained.acting_outputs)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a3c", "impala", "ppo"])
def test_it_learns_to_walk_to_the_right(name: str) -> None:
    # Given an untrained policy, and one-version-old weights on the player
    trained, export = made(name, learning_rate=0.003)
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


def test_pqn_learns_which_end_is_the_right_one() -> None:
    trained, export = made("pqn", gamma=0.9, learning_rate=3e-3, exploration_steps=8_000)
    runner = PolicyRunner(export.graph, export.arrays(), 0)
    head = make_head(trained.head, trained.head_config, ACTIONS, stage="0" * 32)
    rng = np.random.default_rng(0)
    corridor = Corridor()
    for n in range(40):
        batch = play(corridor, runner, head, rng)
        trained.update([batch], n * TICKS * SLOTS)
        runner = runner.with_weights(export.arrays(), n, n * TICKS * SLOTS)
    outputs, _ = runner.run({"": np.arange(1, CELLS - 1, dtype=np.uint8)}, {})
    assert outputs["q"].argmax(axis=1).tolist() == [1] * (CELLS - 2)
    assert outputs["q"][-2:, 1] == pytest.approx([0.9, 1.0], abs=0.12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("dqn", {"exploration_steps": 4_000}),
        ("apex", {"batch_size": 64}),
        ("q-nstep", {"batch_size": 64}),
        ("r2d2", {"burn_in": 2, "unroll": 8, "batch_size": 32, "learning_rate": 3e-3}),
    ],
)
def test_it_learns_from_a_replay_which_end_is_the_right_one(
    name: str, config: dict[str, Any]
) -> None:
    trained, export = made(name, gamma=0.9, target_every_updates=10, **config)
    assert trained.replay is not None
    replay = Replay(
        trained.replay, OBSERVATIONS, ACTIONS, {},
        ticks=TICKS, slots=SLOTS, capacity_steps=5_120, capacity_bytes=1 << 24,
    )  # fmt: skip
    runner = PolicyRunner(export.graph, export.arrays(), 0)
    head = make_head(trained.head, trained.head_config, ACTIONS, stage="0" * 32)
    rng = np.random.default_rng(0)
    corridor = Corridor()
    updates = 0
    # Given 12,800 env steps, of which the older ones are evicted, and ten updates a batch
    for n in range(25):
        batch = play(corridor, runner, head, rng)
        replay.add(n, replace(batch, header=replace(batch.header, n=n)))
        for _ in range(10):
            sample = replay.sample(rng, updates)
            update = trained.update(sample, n * TICKS * SLOTS)
            if update.priorities is not None:
                replay.update_priorities(sample.rows, sample.births, update.priorities)
            updates += 1
        runner = runner.with_weights(export.arrays(), n, n * TICKS * SLOTS)
    # Then every cell between the ends is best left to the right
    outputs, _ = runner.run({"": np.arange(1, CELLS - 1, dtype=np.uint8)}, {})
    assert outputs["q"].argmax(axis=1).tolist() == [1] * (CELLS - 2)
    # And its value there is near that of the way: 0.9 per step (h(1) = 0.415 when rescaled)
    last, before = outputs["q"][-1, 1], outputs["q"][-2, 1]
    expected = (0.415, 0.379) if name == "r2d2" else (1.0, 0.9)
    assert (last, before) == pytest.approx(expected, abs=0.12)


def play(
    corridor: Corridor, runner: PolicyRunner, head: Head, rng: np.random.Generator
) -> SessionBatch:
    head.begin(TICKS, SLOTS, rng, runner.env_steps)
    observations, actions, results = [corridor.cells.astype(np.uint8)], [], []
    for tick in range(TICKS):
        outputs, _ = runner.run({"": observations[-1]}, {})
        actions.append(head.act(tick, outputs)[""])
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
        head.recorded(),
    )
