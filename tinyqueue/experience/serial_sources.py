"""Experience for the serial loop: played on demand, in the updater's own thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy

from tinyqueue.algorithms.base import Update
from tinyqueue.data.session import SessionBatch
from tinyqueue.errors import EnvironmentFailedError, MessageError
from tinyqueue.experience.replay_memory import ReplayMemory
from tinyqueue.experience.setbacks import Setbacks
from tinyqueue.experience.source import Refused, Source, Taken
from tinyqueue.monitor.metrics import Metric
from tinyqueue.run.checkpoint import Checkpoint, ReplayState
from tinyqueue.wire.contract import Contract

Play = Callable[[], SessionBatch]
"""Plays the next session batch; its arrays are valid until the next call."""


MOST_ASIDE = 20
"""Batches set aside in a row before a serial run gives up."""


class SoundPlay:
    """Plays batches until one is valid, by the same contract as a learner's.

    Args:
        play: Plays the next session batch.
        contract: What a batch of the run must look like.
        setbacks: Counts what is set aside, clipped and accepted.
    """

    def __init__(self, play: Play, contract: Contract, setbacks: Setbacks) -> None:
        self._play = play
        self._contract = contract
        self._setbacks = setbacks

    def __call__(self) -> SessionBatch:
        """The next valid batch.

        Raises:
            EnvironmentFailedError: :data:`MOST_ASIDE` batches in a row were not valid.
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
    """Plays as many batches as an update needs.

    Args:
        play: Plays one session batch.
        batches_per_update: Number of batches per update.
    """

    is_own = True

    def __init__(self, play: Play, batches_per_update: int) -> None:
        self._play = play
        self._count = batches_per_update

    def take(self, timeout_s: float) -> Taken:
        """Plays the batches of the next update."""
        if self._count == 1:
            batches = [self._play()]
        else:
            batches = [deepcopy(self._play()) for _ in range(self._count)]
        return Taken(batches, batches)

    def trained(self, taken: Taken, update: Update) -> None:
        """Does nothing: batches are not kept."""

    def refuse(self, taken: Taken, culprits: Sequence[int]) -> Sequence[Refused]:
        """Drops the whole experience of the update; the next is played with the same weights."""
        return [Refused("", taken.arrived[index].header.player) for index in culprits]

    def wait_until_settled(self) -> bool:
        """True at once: there is no ledger."""
        return True

    def state(self) -> ReplayState:
        """Empty."""
        return ReplayState()

    def restore(self, checkpoint: Checkpoint | None) -> str:
        """Does nothing: there is nothing to restore."""
        return ""

    def numbers(self) -> Mapping[str, float]:
        """Empty: it has no metrics of its own."""
        return {}


class SerialReplay(Source):
    """Plays until a sample is due, then draws it.

    Args:
        play: Plays one session batch.
        memory: The replay. Without a session log, a resumed run starts with an empty one.
        updates: Returns the number of updates so far.
    """

    is_own = True
    counts_failed = True

    def __init__(self, play: Play, memory: ReplayMemory, updates: Callable[[], int]) -> None:
        self._play = play
        self._memory = memory
        self._updates = updates
        self._number = 0

    def take(self, timeout_s: float) -> Taken:
        """A sample if one is due; otherwise a newly played batch, without a sample."""
        if self._memory.may_sample:
            return Taken([], self._memory.sample(self._updates()))
        batch = self._play()
        self._number += 1
        self._memory.admit(batch.env_steps)
        self._memory.add(self._number, batch)
        return Taken([batch])

    def trained(self, taken: Taken, update: Update) -> None:
        """Writes new priorities back."""
        if update.priorities is not None:
            sample = taken.experience
            self._memory.replay.update_priorities(sample.rows, sample.births, update.priorities)

    def refuse(self, taken: Taken, culprits: Sequence[int]) -> Sequence[Refused]:
        """Takes the batches that the culprits read out of the replay."""
        found = self._memory.withdraw(taken.experience, culprits)
        return [Refused("", batch.player) for batch in found]

    def wait_until_settled(self) -> bool:
        """True at once: there is no ledger."""
        return True

    def state(self) -> ReplayState:
        """Empty: a resumed run fills its replay again."""
        return ReplayState()

    def restore(self, checkpoint: Checkpoint | None) -> str:
        """Seeds later draws by the checkpoint's updates; the replay stays empty."""
        if checkpoint is None:
            return ""
        self._memory.restore((), 0, None, checkpoint.updates)
        return "a serial run keeps no session log: its replay is filled again"

    def numbers(self) -> Mapping[str, float]:
        """Size of the replay, and samples per insert."""
        replay = self._memory.replay
        return {
            Metric.REPLAY_ITEMS: replay.size,
            Metric.REPLAY_ENV_STEPS: replay.env_steps,
            Metric.SAMPLES_PER_INSERT: self._memory.samples_per_insert,
        }


SerialSource = SerialStream | SerialReplay
