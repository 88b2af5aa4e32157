"""What a learner gets from its starter: roles, independent of their implementation."""

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
    """Sends the tasks of one experiment to its workers."""

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
        """Sends a play task.

        Args:
            task_id: Id of the task.
            experiment: Name of the experiment.
            run: Id of the run.
            spec_version: Version of the PlaySpec.
            budget_s: Seconds after which a player starts no further batch.
            limit_s: Seconds after which the task is killed.

        Raises:
            ServiceUnreachableError: The broker did not accept it.
        """

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
        """Sends an evaluation task.

        Args:
            request: Id of the evaluation.
            experiment: Name of the experiment.
            run: Id of the run.
            version: Weight version to evaluate.
            episodes: Number of episodes.
            slots: Episodes played in parallel.
            seed: Seed of the episodes.
            others: Settings that differ from the defaults.

        Raises:
            ServiceUnreachableError: The broker did not accept it.
        """

    def close(self) -> None:
        """Closes the connection to the broker."""


PlayHere = Callable[
    [WeightVersion, PlaySpec, bytes, str, int, str, Callable[[], bool]], EvaluationResult
]
"""Plays an evaluation on this machine: weights, spec, acting graph, request id, seed, how actions
are chosen, and whether its result is still wanted."""


@dataclass(frozen=True)
class Surroundings:
    """What a learner works with.

    Attributes:
        settings: Addresses of the services.
        prepared: Returns the experiment with its open settings chosen, and the description of its
            environment, found in a separate process.
        tasks: Sends play and evaluation tasks.
        play_here: Evaluates on this machine if no worker does.
        view: Shows the user what happens.
        players_log: Log of the players that were started with the learner; None without them.
    """

    settings: Settings
    prepared: Callable[[], tuple[Experiment, EnvironmentInfo]]
    tasks: Tasks
    play_here: PlayHere
    view: View
    players_log: Path | None = None
