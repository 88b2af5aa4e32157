"""What becomes of a request for evaluation episodes: an answer, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from tinyqueue.errors import EnvironmentFailedError
from tinyqueue.wire.evaluations import EvaluationResult


@dataclass(frozen=True)
class Answer:
    """The games that were asked for.

    Attributes:
        result: Returns and lengths of the episodes.
        is_own: Whether the learner played them, or a worker with the learner's own login. What
            anybody else says ends no run before the learner's own games have confirmed it.
        login: Broker login of the worker that played them; empty if the learner did.
    """

    result: EvaluationResult
    is_own: bool
    login: str = ""

    @property
    def request(self) -> str:
        """Id of the request."""
        return self.result.request


@dataclass(frozen=True)
class NoAnswer:
    """An evaluation that could not be played to its end.

    Attributes:
        request: Id of the evaluation.
        kind: What went wrong: one word, the same for all failures of this kind.
        text: The same in a sentence, with the line of the environment if it is known.
    """

    request: str
    kind: str
    text: str

    @classmethod
    def of(cls, request: str, error: Exception) -> NoAnswer:
        """The answer for an exception raised while playing.

        Args:
            request: Id of the evaluation.
            error: The exception.
        """
        name = type(error).__name__
        kind = error.kind if isinstance(error, EnvironmentFailedError) else name
        return cls(request, kind, str(error) or name)
