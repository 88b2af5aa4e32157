"""What a session batch of an environment costs: time, memory and bytes, by its shape."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tinyqueue.data.spaces import Space
from tinyqueue.envs.describe import EnvironmentInfo
from tinyqueue.envs.trial import Trial
from tinyqueue.wire.limits import MIB

BATCH_S = 10.0
"""Longest batch to choose: a third of a task's shortest time limit."""
BUILD_S = 10.0
"""Longest time for building the environments of one player to choose."""
BATCH_BYTES = 8 * MIB
"""Largest batch to choose, before compression."""
SLOW_RESET_S = 1.0
"""A reset that takes this long is told."""
MEMORY_SHARE = 0.5
"""Share of the free memory that environments may take."""
_STEP_BYTES = 40
"""Size of an env step besides its observation: action, reward, flags, extras of the head."""
_LIGHT_BYTES = 32 * MIB
"""Environments that take less do not count: the measurement is not that precise."""


@dataclass(frozen=True)
class Shape:
    """The shape of a session batch.

    Attributes:
        ticks: Env steps of each slot, T.
        slots: Environments side by side, B.
    """

    ticks: int
    slots: int


class BatchCosts:
    """The costs of a batch, depending on its shape.

    Args:
        info: The environment's description.
        trial: What was measured while it was tried out.
        players: Players on this machine; 0 if they run elsewhere.
    """

    def __init__(self, info: EnvironmentInfo, trial: Trial, players: int) -> None:
        self.trial = trial
        self._observation_bytes = _bytes_of(info.observation_space)
        self._players = max(1, players)
        self._free_bytes = _free_memory_bytes()

    def batch_s(self, shape: Shape) -> float:
        """Seconds that playing a batch takes."""
        return shape.ticks * shape.slots * self.trial.step_s

    def build_s(self, slots: int) -> float:
        """Seconds until so many environments are built and reset."""
        return slots * (self.trial.build_s + self.trial.reset_s)

    @property
    def step_told(self) -> str:
        """How long a step takes, and a reset if that is why."""
        told = time_told(self.trial.step_s)
        if self.has_slow_resets:
            told += f", resets included, and a reset {time_told(self.trial.reset_s)}"
        return told

    @property
    def has_slow_resets(self) -> bool:
        """Whether a player stands still at the end of every episode for long enough to be told."""
        return self.trial.reset_s >= SLOW_RESET_S

    def batch_bytes(self, shape: Shape) -> int:
        """Bytes of a batch before compression."""
        observations = (shape.ticks + 1) * shape.slots * self._observation_bytes
        return observations + shape.ticks * shape.slots * _STEP_BYTES

    def needs_memory(self, slots: int) -> bool:
        """Whether this many environments in every player take more than their share."""
        each = self.trial.slot_bytes
        return (
            each > _LIGHT_BYTES and slots * self._players * each > MEMORY_SHARE * self._free_bytes
        )

    def too_much(self, shape: Shape) -> str:
        """Why this shape is not chosen; empty if it can be."""
        if self.batch_s(shape) > BATCH_S:
            return f"steps take {self.step_told}"
        if self.batch_bytes(shape) > BATCH_BYTES:
            return f"an observation has {self._observation_bytes:,} bytes"
        return ""

    def too_many(self, slots: int) -> str:
        """Why so many environments in a process are not chosen; empty if they can be."""
        if slots == 1:
            return ""
        if self.trial.single:
            return "a second one cannot exist beside the first"
        if self.trial.entangled:
            return "they share state within a process"
        if self.build_s(slots) > BUILD_S:
            return f"one takes {time_told(self.build_s(1))} to build and reset"
        if self.needs_memory(slots):
            return f"one takes {self.trial.slot_bytes / MIB:,.0f} MiB of memory"
        return ""


def time_told(seconds: float) -> str:
    """``40 ms``, ``1.2 s``, ``41 s``."""
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms" if seconds >= 0.1 else f"{1000 * seconds:.2g} ms"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def _bytes_of(space: Space) -> int:
    return sum(np.dtype(leaf.dtype).itemsize * math.prod(leaf.shape) for leaf in space.values())


def _free_memory_bytes() -> int:
    """Available memory by Linux's account; practically unlimited on other systems."""
    try:
        with open("/proc/meminfo") as lines:
            found = next(line for line in lines if line.startswith("MemAvailable:"))
        return int(found.split()[1]) * 1024
    except (OSError, StopIteration, ValueError, IndexError):
        return 1 << 62
