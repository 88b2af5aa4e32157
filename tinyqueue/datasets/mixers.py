"""Datasets made of others: items in the order of play, samples of a replay, prefetching."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tinyqueue.data.session import SessionBatch
from tinyqueue.datasets.dataset import Batch, Dataset
from tinyqueue.datasets.items import Cut, replay_for
from tinyqueue.datasets.plain import of_sample
from tinyqueue.errors import ConfigError
from tinyqueue.replay.replay import Replay
from tinyqueue.replay.samples import SequenceSample

GIB = 2**30


class InOrder(Dataset):
    """Every item of endless session batches once, as soon as it is complete.

    Args:
        sessions: Gives the batches; at their end, :meth:`__getitem__` raises IndexError.
        cut: Which items they are cut into.
        memory_batches: Session batches held. A stage whose next batch comes after so many of
            others loses its unfinished items, so it should be a few per player.
    """

    def __init__(
        self, sessions: Iterator[SessionBatch], cut: Cut, *, memory_batches: int = 64
    ) -> None:
        super().__init__()
        self._sessions, self._cut, self._memory = sessions, cut, memory_batches
        self._replay: Replay | None = None
        self._given = np.empty(0, np.int64)
        self._rows = self._births = np.empty(0, np.int64)
        self._number = 0

    @property
    def num_batches(self) -> None:
        """Endless."""
        return None

    def __getitem__(self, index: int) -> Batch:
        """The next N items; waits until they were played."""
        del index
        size = self._cut.batch_size
        while len(self._rows) < size or self._replay is None:
            batch = next(self._sessions, None)
            if batch is None:
                raise IndexError("the session batches have ended")
            self._add(batch)
        rows, self._rows, self._births = self._rows[:size], self._rows[size:], self._births[size:]
        return of_sample(self._replay.gather(rows))

    def _add(self, batch: SessionBatch) -> None:
        if self._replay is None:
            capacity = self._memory * batch.ticks * batch.slots
            if capacity < 2 * self._cut.batch_size:
                raise ConfigError(
                    f"memory_batches = {self._memory} hold {capacity} steps, too few for "
                    f"batches of {self._cut.batch_size} items. Raise it."
                )
            self._replay = replay_for(batch, self._cut, capacity, 64 * GIB)
            self._given = np.full(self._replay.capacity, np.iinfo(np.int64).min, np.int64)
        self._replay.add(self._number, batch)
        self._number += 1
        rows, births = self._replay.items()
        is_fresh = self._given[rows] != births
        self._given[rows] = births
        is_held = self._replay.holds(self._rows, self._births)
        self._rows = np.concatenate([self._rows[is_held], rows[is_fresh]])
        self._births = np.concatenate([self._births[is_held], births[is_fresh]])


class ReplayMixer(Dataset):
    """Uniform samples of the newest session batches, in a fixed ratio to what is played.

    It takes a new session batch from its source whenever ``samples_per_insert`` has been reached,
    and waits for one if need be: a learner that reads ahead of its players trains on nothing but
    the same steps. An endless dataset, also of a finite log, which it reads again and again.

    Args:
        sessions: Makes an iterator of session batches; called again at its end.
        cut: Which items they are cut into.
        capacity_steps: Most env steps held; the oldest go first.
        minimum_steps: Env steps to hold before the first sample.
        samples_per_insert: Env steps sampled per env step taken in, on average.
        most_bytes: Most memory to use.
        seed: Seed of the draws.

    Raises:
        ConfigError: The minimum does not fit the capacity.
    """

    def __init__(
        self,
        sessions: Callable[[], Iterator[SessionBatch]],
        cut: Cut,
        *,
        capacity_steps: int = 100_000,
        minimum_steps: int = 1_000,
        samples_per_insert: float = 8.0,
        most_bytes: int = 4 * GIB,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 < minimum_steps <= capacity_steps or samples_per_insert <= 0:
            raise ConfigError(
                f"minimum_steps = {minimum_steps} must be from 1 to capacity_steps = "
                f"{capacity_steps}, and samples_per_insert = {samples_per_insert} above 0."
            )
        self._make, self._cut = sessions, cut
        self._capacity, self._minimum = capacity_steps, minimum_steps
        self._ratio, self._most_bytes = samples_per_insert, most_bytes
        self._rng = np.random.default_rng(seed)
        self._sessions: Iterator[SessionBatch] = iter(())
        self._replay: Replay | None = None
        self._number = 0
        self.inserted = 0
        """Env steps taken in so far."""
        self.sampled = 0
        """Env steps of the samples given so far, without padding."""

    @property
    def num_batches(self) -> None:
        """Endless."""
        return None

    def __getitem__(self, index: int) -> Batch:
        """The fields of a :class:`~tinyqueue.replay.samples.TransitionSample`, or SequenceSample.

        Raises:
            ConfigError: The source has no session batch at all.
        """
        del index
        while self._is_due() or self._replay is None or not self._replay.size:
            self._take()
        sample = self._replay.sample(self._rng, 0)
        if isinstance(sample, SequenceSample):
            self.sampled += int(np.count_nonzero(sample.mask))
        else:
            self.sampled += len(sample.rows)
        return of_sample(sample)

    def _is_due(self) -> bool:
        # Beyond the minimum, whose filling is not sampled for.
        beyond = self.inserted - self._minimum
        return beyond < 0 or self.sampled > self._ratio * max(beyond, 1)

    def _take(self) -> None:
        batch = next(self._sessions, None)
        if batch is None:
            self._sessions = self._make()
            batch = next(self._sessions, None)
        if batch is None:
            raise ConfigError("there is no session batch to read. Record some first.")
        if self._replay is None:
            self._replay = replay_for(batch, self._cut, self._capacity, self._most_bytes)
        self._replay.add(self._number, batch)
        self._number += 1
        self.inserted += batch.env_steps
