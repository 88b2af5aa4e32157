"""Session batches of random episodes whose every frame says where it was played."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyqueue.data.session import Header, SessionBatch
from tinyqueue.data.spaces import Leaf, Space

OBSERVATIONS: Space = {"": Leaf("int32", ())}
ACTIONS: Space = {"": Leaf("uint8", (), n=200)}
STATE = {"h": (2,)}


@dataclass
class Tick:
    """One tick of one slot; an invalid one shows its episode's final observation."""

    frame: int
    age: int
    action: int
    reward: float
    terminated: bool
    truncated: bool
    valid: bool
    q_taken: float
    q_max: float

    @property
    def ended(self) -> bool:
        return self.terminated or self.truncated


def frame(stage: int, slot: int, tick: int) -> int:
    return (stage + 1) * 1_000_000 + slot * 100_000 + tick


def place(frame: int) -> tuple[int, int, int]:
    """``(stage, slot, tick)`` of a frame."""
    return frame // 1_000_000 - 1, frame % 1_000_000 // 100_000, frame % 100_000


class Playing:
    """One stage, and all that it has played so far: ``slots[slot][tick]``.

    Args:
        stage: A number from 0, part of every frame.
        ticks, slots: T and B.
        rng: Where episodes, actions, rewards and values come from.
        end_chance: Of every tick.
    """

    def __init__(
        self, stage: int, ticks: int, slots: int, rng: np.random.Generator, end_chance: float = 0.2
    ) -> None:
        self.stage, self.ticks, self.rng, self.end_chance = stage, ticks, rng, end_chance
        self.slots: list[list[Tick]] = [[] for _ in range(slots)]
        self.n = 0

    def play(self) -> SessionBatch:
        """The next batch."""
        first = self.n * self.ticks
        carry = [self._carry(slot) for slot in range(len(self.slots))]
        for slot, played in enumerate(self.slots):
            for tick in range(first, first + self.ticks):
                played.append(self._tick(slot, tick))
        rows = [played[first:] for played in self.slots]
        self.n += 1

        def column(name: str, dtype: str) -> np.ndarray:
            return np.array([[getattr(tick, name) for tick in row] for row in rows], dtype).T

        final = [[frame(self.stage, slot, first + self.ticks) for slot in range(len(rows))]]
        steps, actions, rewards, states = zip(*carry, strict=True)
        return SessionBatch(
            header=Header("e", "r", f"{self.stage:032x}", self.n - 1, "u", "p", 1, 1),
            observations={
                "": np.concatenate([column("frame", "int32"), np.array(final, np.int32)])
            },
            actions={"": column("action", "uint8")},
            rewards=column("reward", "float32"),
            terminated=column("terminated", "bool"),
            truncated=column("truncated", "bool"),
            valid=column("valid", "bool"),
            extras={"q_taken": column("q_taken", "float32"), "q_max": column("q_max", "float32")},
            carry={
                "episode_steps": np.array(steps, np.int32),
                "previous_action": np.array(actions, np.uint8),
                "previous_reward": np.array(rewards, np.float32),
                "state/h": np.array(states, np.float32),
            },
        )

    def _tick(self, slot: int, tick: int) -> Tick:
        rng, before = self.rng, self.slots[slot][-1] if self.slots[slot] else None
        valid = before is None or not before.ended
        begins = before is None or not before.valid
        ends = valid and rng.random() < self.end_chance
        terminated = ends and rng.random() < 0.5
        return Tick(
            frame=frame(self.stage, slot, tick),
            age=0 if begins or before is None else before.age + 1,
            action=int(rng.integers(1, 200)),
            reward=float(rng.integers(1, 100)) if valid else 0.0,
            terminated=terminated,
            truncated=ends and not terminated,
            valid=valid,
            q_taken=float(rng.integers(-50, 50)),
            q_max=float(rng.integers(-50, 50)),
        )

    def _carry(self, slot: int) -> tuple[int, int, float, tuple[float, float]]:
        """Episode steps, previous action and reward, state: 0 before an episode's first row."""
        played = self.slots[slot]
        if not played or not played[-1].valid:
            return 0, 0, 0.0, (0.0, 0.0)
        last = played[-1]
        steps = 0 if last.ended else last.age + 1
        return steps, last.action, last.reward, (float(last.frame % 100_000 + 1), -1.0)
