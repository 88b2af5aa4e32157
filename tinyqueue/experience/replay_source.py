"""Experience of replay algorithms: stored for good before the ack, drawn many times after it.

The consumer's thread has batches committed to the session log; a thread of its own adds them to
the replay in the log's order, draws samples ahead of the updater, and writes priorities back, so
that the updater waits for neither.
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
from tinyqueue.experience.source import OVER, Arrival, Taken, Waits
from tinyqueue.monitor.metrics import Metric
from tinyqueue.run.checkpoint import Checkpoint, ReplayState

AHEAD = 2
"""Samples that are drawn ahead of the updater."""
COMMIT_S = 10.0
"""How long the end of a run waits for the ledger: a commit takes a millisecond."""
_LOOK_S = 0.05

T = TypeVar("T")


class StoredBatches(Protocol):
    """Session batches with their places in the log, in order; and what could not be read."""

    def __iter__(self) -> Iterator[tuple[int, SessionBatch]]: ...

    @property
    def skipped(self) -> Mapping[int, str]: ...


class ReplayExperience:
    """Keeps a :class:`ReplayMemory` in step with the session log.

    Args:
        memory: What is kept.
        stored: The session log's batches, for a restart.
        accepted_env_steps: Env steps that the ledger has accepted.
        trim: Told the smallest number of the log that is still needed.
        updates: Made so far.
        max_env_steps: No batch is accepted once the run has so many; None: there is no such limit.
    """

    def __init__(
        self,
        memory: ReplayMemory,
        stored: StoredBatches,
        *,
        accepted_env_steps: Callable[[], int],
        trim: Callable[[int], None],
        updates: Callable[[], int],
        max_env_steps: int | None = None,
    ) -> None:
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
        self._samples: queue.SimpleQueue[Sample] = queue.SimpleQueue()
        self._ahead: deque[Sample] = deque()
        """Drawn and not trained on yet: what waits, and what the updater has in hand."""
        self._updated: queue.SimpleQueue[tuple[Sample, Update]] = queue.SimpleQueue()
        self._wake = threading.Event()
        self._is_draining = False
        self._stopping = False
        self._may_sample = False
        self._waits = Waits()
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)
        self.error: BaseException | None = None

    def offer(self, arrival: Arrival) -> None:
        self._waiting.append(arrival)
        self._admit()

    def committed(self, batch_id: str, number: int) -> None:
        batch = self._admitted.get(batch_id)
        if batch is None:
            return
        if number:
            self._committed.put((number, batch))
            self._wake.set()
        else:
            self._memory.admit(-batch.env_steps)
        # Not before: at every moment it is under way or here.
        del self._admitted[batch_id]

    def take(self, timeout_s: float) -> Taken | None:
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
        self._ahead.popleft()
        if update.priorities is not None:
            self._updated.put((taken.experience, update))

    def wait_until_settled(self) -> bool:
        """Batches count when they are committed: a checkpoint is never ahead."""
        return True

    @property
    def is_ahead(self) -> bool:
        """Whether players have to wait for training."""
        return bool(self._waiting)

    def state(self) -> ReplayState:
        with self._lock:
            self._write_priorities()
            return self._memory.state(tuple(self._ahead))

    def restore(self, checkpoint: Checkpoint | None) -> str:
        """Adds the session log's batches again, before :meth:`start`."""
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
        self._thread.start()

    def close(self) -> None:
        with self._admitting:
            self._is_closed = True
        self._admit()

    def drain(self, timeout_s: float = COMMIT_S) -> Sequence[SessionBatch]:
        """What the disk has not taken after so long is left for the next start to count."""
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
        """Whether there is nothing to train on, nor on its way: nobody may wait for training then.
        Many stages may have begun before the first sequence is complete."""
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
        """Accepts waiting batches while training keeps up; from the consumer's and own thread."""
        with self._admitting:
            while self._is_closed and self._waiting:
                self._waiting.popleft().drop(OVER)
            while self._waiting and self._has_room:
                arrival = self._waiting.popleft()
                batch = arrival.batch
                self._memory.admit(batch.env_steps)
                self._admitted[batch.header.batch_id] = batch
                arrival.accept(store=True)


def _drained(source: queue.SimpleQueue[T]) -> list[T]:
    """What is there now, without waiting."""
    found = []
    while True:
        try:
            found.append(source.get_nowait())
        except queue.Empty:
            return found
