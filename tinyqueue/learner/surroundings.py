"""What a learner is given by whoever starts it: roles, and nothing of how they are filled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tinyqueue.envs.describe import EnvironmentInfo
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.monitor.view import View
from tinyqueue.settings import Settings
from tinyqueue.wire.evaluations import EvaluationResult
from tinyqueue.wire.weights import WeightVersion


class Tasks(Protocol):
    """Sends the tasks of one experiment to whoever works for it."""

    def play(
        self,
        task_id: str,
        *,
        experiment: str,
        run: str,
        spec_version: int,
        budget_s: float,
        limit_s: float,
    ) -> None:
        """Raises ServiceUnreachableError when the broker does not take it."""

    def evaluate(
        self,
        request: str,
        *,
        experiment: str,
        run: str,
        version: int,
        episodes: int,
        slots: int,
        seed: int,
        **others: str | float,
    ) -> None:
        """Raises ServiceUnreachableError when the broker does not take it."""

    def close(self) -> None:
        """Lets go of the broker."""


PlayHere = Callable[[WeightVersion, PlaySpec, bytes, str, int, str], EvaluationResult]
"""Plays games in this process: weights, spec, acting graph, request id, seed, and how actions are
chosen."""


@dataclass(frozen=True)
class Surroundings:
    """Services and people around a learner.

    Attributes:
        settings: Where the services are.
        prepared: The experiment with its open settings chosen, and what its environment is like,
            found out in a process of its own.
        tasks: Sends play and evaluation tasks.
        play_here: Evaluates in this process when no worker does.
        view: Where a person looks.
        players_log: What the players say that were started with the learner; None without such.
    """

    settings: Settings
    prepared: Callable[[], tuple[Experiment, EnvironmentInfo]]
    tasks: Tasks
    play_here: PlayHere
    view: View
    players_log: Path | None = None
