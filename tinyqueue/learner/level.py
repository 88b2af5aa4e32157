"""Is the level reached? Greedy games of a frozen version decide, never the training mean."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tinyqueue.data.seeds import seed32
from tinyqueue.experiment.sections import EvaluationConfig
from tinyqueue.learner.checkpoints import Checkpoint
from tinyqueue.wire.evaluations import EvaluationResult
from tinyqueue.wire.weights import WeightVersion


class Games(Protocol):
    """Plays greedy games of one weight version somewhere, one request at a time."""

    def request(self, weights: WeightVersion, request: str, seed: int) -> None:
        """Asks for the games; returns at once."""

    def poll(self) -> EvaluationResult | None:
        """The result of the last request, once."""


@dataclass(frozen=True)
class Evaluated:
    """An evaluation that has come back, with the state of the learner that it measured."""

    checkpoint: Checkpoint
    result: EvaluationResult

    @property
    def mean_return(self) -> float:
        return float(np.mean(self.result.returns))


class Level:
    """Decides when to evaluate and whether the level is reached.

    Args:
        threshold: Mean return of greedy games to reach; None never asks.
        config: How near the training mean must be, and how often to ask.
        games: Who plays.
        seed: Run seed; every evaluation plays games of its own, also after a resume.
    """

    def __init__(
        self, threshold: float | None, config: EvaluationConfig, games: Games, seed: int
    ) -> None:
        self.threshold = threshold
        self._config = config
        self._games = games
        self._seed = seed
        self._waiting: tuple[str, Checkpoint] | None = None
        self._asked_at: int | None = None
        self._count = 0

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is outstanding."""
        return self._waiting is not None

    def is_near(self, mean: float, first_mean: float | None, env_steps: int) -> bool:
        """Whether an evaluation is worth its games now.

        Args:
            mean: Return of the last training episodes.
            first_mean: … of the run's first ones; None before there were enough of them.
            env_steps: The clock.
        """
        if self.threshold is None or self._waiting is not None or first_mean is None:
            return False
        if self._asked_at is not None and env_steps - self._asked_at < self._config.every_env_steps:
            return False
        return mean >= first_mean + self._config.near * (self.threshold - first_mean)

    def ask(self, checkpoint: Checkpoint, weights: WeightVersion) -> None:
        """Has the weights evaluated; the checkpoint is what they belong to."""
        request = secrets.token_hex(8)
        self._count += 1
        self._asked_at = checkpoint.env_steps
        self._waiting = (request, checkpoint)
        seed = seed32(self._seed, checkpoint.env_steps, self._count)
        self._games.request(weights, request, seed)

    def answer(self) -> Evaluated | None:
        """An evaluation that has come back since the last call."""
        if self._waiting is None:
            return None
        result = self._games.poll()
        if result is None or result.request != self._waiting[0]:
            return None
        checkpoint = self._waiting[1]
        self._waiting = None
        return Evaluated(checkpoint, result)

    def is_reached(self, evaluated: Evaluated) -> bool:
        return self.threshold is not None and evaluated.mean_return >= self.threshold
