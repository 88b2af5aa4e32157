"""Experience for the serial loop: played when it is needed, in the updater's own thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy

from tinyqueue.algorithms.base import Update
from tinyqueue.data.session import SessionBatch
from tinyqueue.errors import EnvironmentFailedError, MessageError
from tinyqueue.experience.replay_memory import ReplayMemory
from tinyqueue.experience.setbacks import Setbacks
from tinyqueue.experience.source import Source, Taken
from tinyqueue.monitor.metrics import Metric
from tinyqueue.run.checkpoint import Checkpoint, ReplayState
from tinyqueue.wire.contract import Contract

Play = Callable[[], SessionBatch]
"""Plays the next session batch; its arrays are valid until the next call."""


MOST_ASIDE = 20
"""Batches that are set aside in a row before a serial run gives up."""


class SoundPlay:
    """Plays batches until one is sound by the same contract as a learner's.

    Args:
        play: Plays the next session batch.
        contract: What a batch of the run must look like.
        setbacks: Told of what is set aside.
    """

    def __init__(self, play: Play, contract: Contract, setbacks: Setbacks) -> None:
        self._play = play
        self._contract = contract
        self._setbacks = setbacks

    def __call__(self) -> SessionBatch:
        """The next sound batch.

        Raises:
            EnvironmentFailedError: Many in a row are not.
        """
        for _ in range(MOST_ASIDE):
            batch, clipped, count = self._contract.clipped(self._play())
            try:
                self._contract.check(batch)
            except MessageError as error:
                self._setbacks.aside(error.reason, error.detail)
                refused = error
                continue
            if batch.header.faults:
                self._setbacks.fault("", batch.header.fault, batch.header.faults)
            if clipped:
                self._setbacks.clipped(count, clipped)
            self._setbacks.accepted()
            return batch
        raise EnvironmentFailedError(
            f"{MOST_ASIDE} session batches in a row were set aside, the last one for this: "
            f"{refused.detail}. Correct the environment, or wrap it.",
            kind=refused.reason,
        )


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

    def wait_until_settled(self) -> bool:
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

    def wait_until_settled(self) -> bool:
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


SerialSource = SerialStream | SerialReplay
