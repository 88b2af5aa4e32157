"""The experience that an algorithm trains on, made from what a run has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from tinyqueue.data.session import SessionBatch
from tinyqueue.errors import DiskFullError
from tinyqueue.experiment import Experiment
from tinyqueue.learner.build import Built
from tinyqueue.learner.experience import Experience
from tinyqueue.learner.ledger import Ledger
from tinyqueue.learner.replay_experience import ReplayExperience
from tinyqueue.learner.replay_memory import ReplayMemory
from tinyqueue.learner.session_log import SessionLog
from tinyqueue.learner.stream_experience import StreamExperience
from tinyqueue.wire.contract import Contract

log = structlog.get_logger(__name__)


def make_experience(
    experiment: Experiment,
    built: Built,
    ledger: Ledger,
    sessions: Path,
    updates: Callable[[], int],
) -> Experience:
    """What the algorithm asks for: the stream, or a replay that goes on from the session log.

    Args:
        ledger: Of the run, in the file ``sessions``.
        updates: Made so far.

    Raises:
        ConfigError: The replay is too small for what it has to hold.
    """
    learner = experiment.learner
    plan = built.algorithm.replay
    if plan is None:
        return StreamExperience(
            learner.batches_per_update, ledger.knows, log_every_s=learner.log_sessions_every_s
        )
    return ReplayExperience(
        ReplayMemory(experiment, plan, built.contract),
        LoggedBatches(sessions, built.contract, ledger.mend_log),
        accepted_env_steps=lambda: ledger.env_steps,
        trim=ledger.trim,
        updates=updates,
    )


class LoggedBatches:
    """The session log's batches, in order.

    Args:
        path: ``sessions.db``.
        contract: What a batch of the run looks like now.
        mend: Gives up damaged pages of the log, which would end the run when it is trimmed.

    Attributes:
        skipped: Number → why the row is left out.
    """

    def __init__(self, path: Path, contract: Contract, mend: Callable[[], object]) -> None:
        self._path = path
        self._mend = mend
        self._shape = (contract.ticks, contract.slots)
        self.skipped: dict[int, str] = {}

    def __iter__(self) -> Iterator[tuple[int, SessionBatch]]:
        with SessionLog(self._path) as reader:
            for number, batch in reader.batches():
                shape = (batch.ticks, batch.slots)
                if shape == self._shape:
                    yield number, batch
                else:
                    self.skipped[number] = f"T × B is {shape}, and {self._shape} is played now"
            unreadable = reader.skipped
        self.skipped.update(unreadable)
        if unreadable:
            self._mend_log()

    def _mend_log(self) -> None:
        try:
            self._mend()
        except DiskFullError as error:
            log.warning("damaged rows stay in the session log for now", error=str(error))
