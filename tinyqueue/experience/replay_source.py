"""Experience of replay algorithms: stored durably before the ack, sampled many times after it.

The consumer's thread commits batches to the session log. Another thread adds them to the replay in
the log's order, draws samples ahead of the updater, and writes priorities back, so that the
updater waits for neither.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Protocol, TypeVar

from tinyqueue.algorithms.base import Update
from tinyqueue.data.session import SessionBatch
from tinyqueue.experience.replay_memory import ReplayMemory, Sample
from tinyqueue.experience.source import OVER, Arrival, Refused, Taken, Waits
from tinyqueue.monitor.metrics import Metric
from tinyqueue.run.checkpoint import Checkpoint, ReplayState

AHEAD = 2
"""Samples to draw ahead of the updater."""
COMMIT_S = 10.0
"""Maximum wait for the ledger at the end of a run; a commit takes a millisecond."""
_LOOK_S = 0.05

T = TypeVar("T")


class StoredBatches(Protocol):
    """Session batches of the log."""

    def __iter__(self) -> Iterator[tuple[int, SessionBatch]]:
        """Numbers and batches, in the log's order."""

    @property
    def skipped(self) -> Mapping[int, str]:
        """Number → why the row could not be read."""


class ReplayExperience:
    """Keeps a :class:`ReplayMemory` in step with the session log.

    Args:
        memory: The replay.
        stored: The session log's batches, for a restart.
        accepted_env_steps: Returns the env steps that the ledger has accepted.
        trim: Called with the lowest number of the log that is still needed.
        updates: Returns the number of updates so far.
        withdraw: Called with the log's numbers of batches that must not be read again.
        max_env_steps: No batch is accepted once the run has this many; None: no limit.

    Attributes:
        error: The error that ended its thread; None while there is none.
    """

    is_own = False
    counts_failed = True

    def __init__(
        self,
        memory: ReplayMemory,
        stored: StoredBatches,
        *,
        accepted_env_steps: Callable[[], int],
        trim: Callable[[int], None],
        updates: Callable[[], int],
        withdraw: Callable[[Sequence[int]], None],
        max_env_steps: int | None = None,
    ) -> None:
        self._withdraw = withdraw
        self._memory = memory
        self._stored = stored
        self._accepted_env_steps = accepted_env_steps
        self._trim = trim
        self._updates = updates
        self._max_env_steps = max_env_steps
        self._is_closed = False
        self._lock = threading.Lock()
        self._waiting: deque[Arrival] = deque()
        self._admitting = threading.Lock()
        self._admitted: dict[str, SessionBatch] = {}
        self._committed: queue.SimpleQueue[tuple[int, SessionBatch]] = queue.SimpleQueue()
        self._arrived: queue.SimpleQueue[SessionBatch] = queue.SimpleQueue()
        # No SimpleQueue: in Python 3.11 its get() never ends if a signal handler outlasts it.
        self._samples: queue.Queue[Sample] = queue.Queue()
        self._ahead: deque[Sample] = deque()
        """Samples drawn but not trained on yet: waiting ones, and the updater's current one."""
        self._updated: queue.SimpleQueue[tuple[Sample, Update]] = queue.SimpleQueue()
        self._wake = threading.Event()
        self._is_draining = False
        self._stopping = False
        self._may_sample = False
        self._waits = Waits()
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)
        self.error: BaseException | None = None

    def offer(self, arrival: Arrival) -> None:
        """Queues a batch; it is accepted once training has caught up."""
        self._waiting.append(arrival)
        self._admit()

    def committed(self, batch_id: str, number: int) -> None:
        """Passes a committed batch to the replay; number 0: it was not stored, so it is not."""
        batch = self._admitted.get(batch_id)
        if batch is None:
            return
        if number:
            self._committed.put((number, batch))
            self._wake.set()
        else:
            self._memory.admit(-batch.env_steps)
        # Only now, so that a batch is always counted as admitted or committed.
        del self._admitted[batch_id]

    def take(self, timeout_s: float) -> Taken | None:
        """The next sample, if one is ready in time, and the batches that arrived since."""
        began_s = time.monotonic()
        sample: Sample | None = None
        with suppress(queue.Empty):
            sample = self._samples.get(timeout=timeout_s)
        self._wake.set()
        waited_s = time.monotonic() - began_s
        if self._may_sample:
            self._waits.sampling_s += waited_s
        else:
            self._waits.players_s += waited_s
        arrived = _drained(self._arrived)
        return Taken(arrived, sample) if arrived or sample is not None else None

    def trained(self, taken: Taken, update: Update) -> None:
        """Passes new priorities to the replay's thread."""
        self._ahead.popleft()
        if update.priorities is not None:
            self._updated.put((taken.experience, update))

    def refuse(self, taken: Taken, culprits: Sequence[int]) -> Sequence[Refused]:
        """Takes the batches that the culprits read out of the replay, and out of the log."""
        with self._lock:
            self._ahead.popleft()
            found = self._memory.withdraw(taken.experience, culprits)
            waiting = _drained(self._samples)
            self._ahead.clear()
            for sample in waiting:
                # Others may have the same items.
                if self._memory.is_whole(sample):
                    self._ahead.append(sample)
                    self._samples.put(sample)
                else:
                    self._memory.give_back(sample)
        if found:
            self._withdraw([batch.number for batch in found])
        self._wake.set()
        return [Refused(batch.user, batch.player) for batch in found]

    def wait_until_settled(self) -> bool:
        """True at once: batches count only when committed, so a checkpoint is never ahead."""
        return True

    @property
    def is_ahead(self) -> bool:
        """Whether players have to wait for training."""
        return bool(self._waiting)

    def state(self) -> ReplayState:
        """Priorities, and the counts of the rate limiter without samples not trained on yet."""
        with self._lock:
            self._write_priorities()
            return self._memory.state(tuple(self._ahead))

    def restore(self, checkpoint: Checkpoint | None) -> str:
        """Refills the replay from the session log, before :meth:`start`.

        Raises:
            ConfigError: The log's batches do not fit the run's settings.
        """
        began_s = time.monotonic()
        self._memory.restore(
            self._stored,
            self._accepted_env_steps(),
            checkpoint.replay if checkpoint else None,
            checkpoint.updates if checkpoint else 0,
        )
        replay, skipped = self._memory.replay, self._stored.skipped
        if not replay.env_steps and not skipped:
            return ""
        said = (
            f"replay restored from the session log: {replay.size:,} items of "
            f"{replay.env_steps:,} env steps in {time.monotonic() - began_s:.1f} s"
        )
        if skipped:
            number, why = next(iter(skipped.items()))
            said += f"; {len(skipped):,} rows were left out, such as {number}: {why}"
        return said

    def numbers(self) -> Mapping[str, float]:
        """Size of the replay, what it dropped, samples per insert, and the updater's waits."""
        sampling, players = self._waits.shares()
        replay = self._memory.replay
        return {
            Metric.REPLAY_ITEMS: replay.size,
            Metric.REPLAY_ENV_STEPS: replay.env_steps,
            Metric.REPLAY_STALE_PRIORITIES: replay.dropped["stale_priorities"],
            Metric.REPLAY_UNFINISHED_SEQUENCES: replay.dropped["unfinished_sequences"],
            Metric.REPLAY_GAPS: replay.dropped["gaps"],
            Metric.SAMPLES_PER_INSERT: self._memory.samples_per_insert,
            Metric.SAMPLING_WAIT_SHARE: sampling,
            Metric.PLAYERS_WAIT_SHARE: players,
        }

    def start(self) -> None:
        """Starts the replay's thread."""
        self._thread.start()

    def close(self) -> None:
        """Drops waiting batches and all later ones: the run has reached its last env step."""
        with self._admitting:
            self._is_closed = True
        self._admit()

    def drain(self, timeout_s: float = COMMIT_S) -> Sequence[SessionBatch]:
        """Stops accepting, waits for commits in progress, and stops the thread.

        Args:
            timeout_s: Batches not committed by then are counted by the next start.

        Returns:
            Batches that were accepted but not taken yet.
        """
        with self._admitting:
            self._is_draining = True
        deadline_s = time.monotonic() + timeout_s
        while self._admitted and time.monotonic() < deadline_s:
            time.sleep(0.001)
        self.stop()
        with self._lock:
            self._add_committed()
        return _drained(self._arrived)

    def stop(self) -> None:
        """Stops the thread; waits up to 10 s for it."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(10.0)

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._wake.clear()
                with self._lock:
                    self._add_committed()
                    self._write_priorities()
                    self._draw()
                self._admit()
                self._wake.wait(_LOOK_S)
        except BaseException as error:
            self.error = error

    def _add_committed(self) -> None:
        stored = _drained(self._committed)
        for number, batch in stored:
            self._memory.add(number, batch)
            self._arrived.put(batch)
        if stored:
            self._trim(self._memory.replay.oldest_number)

    def _write_priorities(self) -> None:
        for sample, update in _drained(self._updated):
            assert update.priorities is not None
            self._memory.replay.update_priorities(sample.rows, sample.births, update.priorities)

    def _draw(self) -> None:
        while self._samples.qsize() < AHEAD and self._memory.may_sample:
            sample = self._memory.sample(self._updates())
            self._ahead.append(sample)
            self._samples.put(sample)
        self._may_sample = self._samples.qsize() >= AHEAD or self._memory.may_sample

    @property
    def _is_empty(self) -> bool:
        """Whether there is nothing to train on and nothing on its way.

        Then no player may wait for training. Many stages may have started before the first sequence
        is complete.
        """
        is_under_way = bool(self._admitted) or not self._committed.empty()
        return not is_under_way and self._memory.replay.size == 0

    @property
    def _has_room(self) -> bool:
        if self._is_draining or not self._has_steps_left:
            return False
        return self._memory.may_insert or self._is_empty

    @property
    def _has_steps_left(self) -> bool:
        if self._max_env_steps is None:
            return True
        under_way = sum(batch.env_steps for batch in list(self._admitted.values()))
        return self._accepted_env_steps() + under_way < self._max_env_steps

    def _admit(self) -> None:
        """Accepts waiting batches while training keeps up. Called by both threads."""
        with self._admitting:
            while self._is_closed and self._waiting:
                self._waiting.popleft().drop(OVER)
            while self._waiting and self._has_room:
                arrival = self._waiting.popleft()
                batch = arrival.batch
                self._memory.admit(batch.env_steps)
                self._admitted[batch.header.batch_id] = batch
                arrival.accept(store=True)


def _drained(source: queue.Queue[T] | queue.SimpleQueue[T]) -> list[T]:
    """All items in the queue, without waiting."""
    found = []
    while True:
        try:
            found.append(source.get_nowait())
        except queue.Empty:
            return found
