"""Experience for the serial loop: played when it is needed, in the trainer's own thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy

from tinyqueue.algorithms.base import Update
from tinyqueue.data.session import SessionBatch
from tinyqueue.learner.checkpoint import Checkpoint, ReplayState
from tinyqueue.learner.experience import Source, Taken
from tinyqueue.learner.replay_memory import ReplayMemory
from tinyqueue.monitor.metrics import Metric

Play = Callable[[], SessionBatch]
"""Plays the next session batch; its arrays are valid until the next call."""


class SerialStream(Source):
    """Plays as many batches as an update takes.

    Args:
        play: Plays one.
        batches_per_update: How many are trained on together.
    """

    def __init__(self, play: Play, batches_per_update: int) -> None:
        self._play = play
        self._count = batches_per_update

    def take(self, timeout_s: float) -> Taken:
        if self._count == 1:
            batches = [self._play()]
        else:
            batches = [deepcopy(self._play()) for _ in range(self._count)]
        return Taken(batches, batches)

    def trained(self, taken: Taken, update: Update) -> None:
        """Nothing is kept of it."""

    def is_settled(self) -> bool:
        return True

    def state(self) -> ReplayState:
        return ReplayState()

    def restore(self, checkpoint: Checkpoint | None) -> str:
        return ""

    def numbers(self) -> Mapping[str, float]:
        return {}


class SerialReplay(Source):
    """Plays until a sample is due, and draws it.

    Args:
        play: Plays one session batch.
        memory: Where it is kept. There is no session log: a resumed run fills it anew.
        updates: Made so far.
    """

    def __init__(self, play: Play, memory: ReplayMemory, updates: Callable[[], int]) -> None:
        self._play = play
        self._memory = memory
        self._updates = updates
        self._number = 0

    def take(self, timeout_s: float) -> Taken:
        if self._memory.may_sample:
            return Taken([], self._memory.sample(self._updates()))
        batch = self._play()
        self._number += 1
        self._memory.admit(batch.env_steps)
        self._memory.add(self._number, batch)
        return Taken([batch])

    def trained(self, taken: Taken, update: Update) -> None:
        if update.priorities is not None:
            sample = taken.experience
            self._memory.replay.update_priorities(sample.rows, sample.births, update.priorities)

    def is_settled(self) -> bool:
        return True

    def state(self) -> ReplayState:
        return ReplayState()

    def restore(self, checkpoint: Checkpoint | None) -> str:
        if checkpoint is None:
            return ""
        self._memory.restore((), 0, None, checkpoint.updates)
        return "a serial run keeps no session log: its replay is filled anew"

    def numbers(self) -> Mapping[str, float]:
        replay = self._memory.replay
        return {
            Metric.REPLAY_ITEMS: replay.size,
            Metric.REPLAY_ENV_STEPS: replay.env_steps,
            Metric.SAMPLES_PER_INSERT: self._memory.samples_per_insert,
        }
