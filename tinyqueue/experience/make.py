"""Creates the source of experience that an algorithm needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tinyqueue.experience.replay_memory import ReplayMemory
from tinyqueue.experience.replay_source import ReplayExperience
from tinyqueue.experience.serial_sources import Play, SerialReplay, SerialSource, SerialStream
from tinyqueue.experience.source import Experience
from tinyqueue.experience.stream_source import StreamExperience
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.ledger.logged_batches import LoggedBatches
from tinyqueue.replay.plan import ReplayPlan
from tinyqueue.wire.contract import Contract


def make_experience(
    experiment: Experiment,
    plan: ReplayPlan | None,
    contract: Contract,
    ledger: Ledger,
    sessions: Path,
    updates: Callable[[], int],
) -> Experience:
    """The stream, or a replay that can be refilled from the session log.

    Args:
        experiment: The experiment.
        plan: What the algorithm needs from a replay; None for the stream.
        contract: What a batch looks like.
        ledger: The run's ledger, in the file ``sessions``.
        sessions: ``sessions.db``.
        updates: Returns the number of updates so far.

    Raises:
        ConfigError: The replay is too small for what it has to hold.
    """
    learner = experiment.learner
    if plan is None:
        return StreamExperience(
            learner.batches_per_update, ledger.knows, log_every_s=learner.log_sessions_every_s
        )
    return ReplayExperience(
        ReplayMemory(experiment, plan, contract),
        LoggedBatches(sessions, contract, ledger.mend_log, ledger.withdraw),
        accepted_env_steps=lambda: ledger.env_steps,
        trim=ledger.trim,
        updates=updates,
        withdraw=ledger.withdraw,
        max_env_steps=experiment.stop.max_env_steps,
    )


def make_serial_source(
    experiment: Experiment,
    plan: ReplayPlan | None,
    contract: Contract,
    play: Play,
    updates: Callable[[], int],
) -> SerialSource:
    """As :func:`make_experience`, for the serial loop, which plays experience when it needs it.

    Args:
        experiment, plan, contract, updates: As in :func:`make_experience`.
        play: Plays the next session batch.

    Raises:
        ConfigError: The replay is too small for what it has to hold.
    """
    if plan is None:
        return SerialStream(play, experiment.learner.batches_per_update)
    return SerialReplay(play, ReplayMemory(experiment, plan, contract), updates)
