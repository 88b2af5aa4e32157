"""Games that answer a threshold when a test says so."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyqueue.evaluation.answers import Answer
from tinyqueue.run.checkpoint import Checkpoint
from tinyqueue.wire.evaluations import EvaluationResult


class Games:
    """Takes requests; ``result`` is what the next poll gives."""

    def __init__(self) -> None:
        self.requests: list[tuple[Any, str, int, str]] = []
        self.result: Answer | None = None

    def request(
        self, weights: Any, request: str, seed: int, actions: str, here: bool = False
    ) -> None:
        self.requests.append((weights, request, seed, actions))

    def play_instead(self) -> bool:
        return False

    def poll(self) -> Answer | None:
        answer, self.result = self.result, None
        return answer

    def finish(self, mean: float, request: str | None = None) -> None:
        self.result = Answer(result(request or self.requests[-1][1], mean), is_own=True)


def result(request: str, mean: float) -> EvaluationResult:
    returns = np.array([mean - 1, mean + 1], np.float32)
    return EvaluationResult(request, "pole", "r", 5, returns, np.ones(2, np.int32), 0.1, "me")


def checkpoint(env_steps: int) -> Checkpoint:
    return Checkpoint(env_steps, 1, 5, {}, {}, b"", {})
