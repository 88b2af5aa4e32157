"""The experience that an algorithm trains on, made from what a run has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tinyqueue.experiment.experiment import Experiment
from tinyqueue.learner.build import Built
from tinyqueue.learner.experience import Experience
from tinyqueue.learner.ledger import Ledger
from tinyqueue.learner.logged_batches import LoggedBatches
from tinyqueue.learner.replay_experience import ReplayExperience
from tinyqueue.learner.replay_memory import ReplayMemory
from tinyqueue.learner.stream_experience import StreamExperience


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
        max_env_steps=experiment.stop.max_env_steps,
    )
