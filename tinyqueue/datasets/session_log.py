"""The recorded session batches of a run."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinyqueue.data.session import SessionBatch
from tinyqueue.datasets.dataset import Batch, Dataset
from tinyqueue.datasets.items import Cut, LoggedItems
from tinyqueue.datasets.mixers import GIB, ReplayMixer
from tinyqueue.datasets.plain import of_session
from tinyqueue.errors import MessageError, RunDirectoryError
from tinyqueue.experiment.documents import read_document
from tinyqueue.ledger.session_log import SessionLog as Reader


class SessionLog(Dataset):
    """The session batches that a run keeps in ``sessions.db``, one per index, oldest first.

    Runs with a replay keep all that training may still draw from, others one batch a minute
    (``learner.log_sessions_every_s``). Only reads: a learner may write meanwhile, and what it
    records after this was opened is not part of it.

    Args:
        run: A run directory, or a ``sessions.db``.

    Attributes:
        skipped: Number in the log → why that row could not be read, of all that were tried.

    Raises:
        RunDirectoryError: It has no session log that this version can read.
    """

    def __init__(self, run: str | os.PathLike[str]) -> None:
        super().__init__()
        given = Path(os.path.expanduser(run))
        path = given / "sessions.db" if given.is_dir() else given
        if not path.is_file():
            raise RunDirectoryError(
                f"{given} holds no sessions.db, so it has no session log. Give a run directory "
                "whose learner has taken in sessions: with a replay all are kept, otherwise one in "
                "learner.log_sessions_every_s seconds."
            )
        self._folder = path.parent
        self._reader = Reader(path)
        self._lock = threading.Lock()
        self._numbers = [entry.number for entry in self._reader.entries()]
        self.skipped: dict[int, str] = self._reader.skipped

    @property
    def num_batches(self) -> int:
        """Session batches held when it was opened."""
        return len(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Batch:
        """A session batch as arrays ``[T, B, …]``: observations ``[T+1, B, *obs]``, actions, ….

        Raises:
            RunDirectoryError: It is damaged, or its learner has trimmed it meanwhile.
        """
        return of_session(self.session(index))

    def session(self, index: int) -> SessionBatch:
        """The session batch at an index, with its header and the episodes that ended in it.

        Raises:
            RunDirectoryError: It is damaged, or its learner has trimmed it meanwhile.
        """
        number = self._numbers[index]
        with self._lock:
            row = self._reader.read(number)
        try:
            if row is None:
                raise MessageError("missing", self.skipped.get(number, "the learner trimmed it"))
            return row.decode()
        except MessageError as error:
            raise RunDirectoryError(
                f"session batch {number} of {self._folder} cannot be read: {error}. "
                "sessions() leaves such batches out."
            ) from error

    def sessions(self) -> Iterator[SessionBatch]:
        """The session batches in order, without those that cannot be read (:attr:`skipped`)."""
        for index, number in enumerate(self._numbers):
            try:
                yield self.session(index)
            except RunDirectoryError as error:
                self.skipped.setdefault(number, str(error))

    def transitions(
        self, batch_size: int = 64, *, shuffle: bool = True, seed: int = 0, **cut: Any
    ) -> LoggedItems:
        """All transitions, held in memory: a batch is the fields of a ``TransitionSample``.

        Args:
            batch_size: N.
            shuffle: Whether every epoch has another order.
            seed: Seed of the orders.
            cut: ``n_step``, ``gamma``, ``reward_scale``, ``reward_clip`` and ``stack`` of
                :class:`~tinyqueue.datasets.items.Cut`; ``most_bytes`` of memory (4 GiB).
        """
        return self._items(shuffle, seed, {"batch_size": batch_size, **cut})

    def sequences(
        self,
        batch_size: int = 16,
        *,
        unroll: int,
        shuffle: bool = True,
        seed: int = 0,
        **cut: Any,
    ) -> LoggedItems:
        """All sequences, held in memory: a batch is the fields of a ``SequenceSample``.

        Args:
            batch_size: N.
            unroll: Ticks of a sequence.
            shuffle, seed, cut: As for :meth:`transitions`, and ``burn_in``.
        """
        return self._items(shuffle, seed, {"batch_size": batch_size, "unroll": unroll, **cut})

    def replay(self, batch_size: int = 64, *, options: Any = None, **cut: Any) -> ReplayMixer:
        """Endless uniform samples, for logs larger than memory; see :class:`ReplayMixer`.

        Args:
            batch_size: N.
            options: A dict of :class:`ReplayMixer`'s own arguments, such as ``capacity_steps``.
            cut: As for :meth:`transitions`.
        """
        whole = {"batch_size": batch_size, "stack": self.stack, **cut}
        return ReplayMixer(self.sessions, Cut(**whole), **(options or {}))

    @property
    def stack(self) -> int:
        """Frames that the run's own policy sees at once; 1 if its experiment is not beside it."""
        file = self._folder / "experiment.toml"
        environment = read_document(file).get("environment", {}) if file.is_file() else {}
        return int(environment.get("stack", 1))

    def close(self) -> None:
        """Closes the file."""
        self._reader.close()

    def _items(self, shuffle: bool, seed: int, cut: dict[str, Any]) -> LoggedItems:
        most_bytes = cut.pop("most_bytes", 4 * GIB)
        return LoggedItems(
            self.sessions,
            len(self._numbers),
            Cut(**{"stack": self.stack, **cut}),
            most_bytes=most_bytes,
            shuffle=shuffle,
            seed=seed,
        )
