"""What a player is asked to do, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlayTask:
    """The arguments of a ``play-episode`` task."""

    id: str
    experiment: str
    run: str
    spec_version: int
    budget_s: float


@dataclass
class PlayReport:
    """The outcome of a task.

    Attributes:
        ended: Why it ended: ``budget``, ``full``, ``no learner``, ``no spec``, ``other run``,
            ``no weights`` or ``broker``.
        batches: Batches confirmed; those finished, where they are published in the background.
        refused: Publishes that were sent and not accepted.
        play_cpu_s: CPU seconds of this thread spent on playing.
        bus_cpu_s: CPU seconds of this thread spent on encoding and publishing.
    """

    ended: str = "budget"
    batches: int = 0
    refused: int = 0
    play_cpu_s: float = 0.0
    bus_cpu_s: float = 0.0
