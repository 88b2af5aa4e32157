"""An update whose loss is not finite costs the session batches that made it so, and not the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import structlog

from tinyqueue.algorithms.base import AnyAlgorithm, LossNotFiniteError
from tinyqueue.experience.source import Refused, Source, Taken

MOST_IN_A_ROW = 10
"""Failed updates in a row, for which the algorithm is to blame, after which the run ends."""
MOST_TRIES = 64
"""Trial updates to find the culprits of one failed update. Those not found by then fail again."""

log = structlog.get_logger(__name__)


class FailedUpdates:
    """Finds what made an update fail, and has it taken out.

    Either experience is to blame, or weights that training has driven too far. An update on the
    last experience that was trained on tells which: with it, sound weights have a finite loss.

    Args:
        algorithm: The algorithm. A failed update has left it as it was.
        source: Where its experience comes from.
        refused: Called with every session batch that is taken out.
    """

    def __init__(
        self,
        algorithm: AnyAlgorithm[Any, Any],
        source: Source,
        refused: Callable[[Refused], None],
    ) -> None:
        self._algorithm = algorithm
        self._source = source
        self._refused = refused
        self._trained: Any = None
        self._in_a_row = 0

    def succeeded(self, experience: Any) -> None:
        """Ends a row of failures, and remembers what sound weights are known by."""
        self._in_a_row = 0
        if not self._source.is_own:
            self._trained = experience

    def failed(self, taken: Taken, env_steps: int, error: LossNotFiniteError) -> None:
        """Has the culprits taken out.

        Args:
            taken: What the update was on.
            env_steps: The clock of the update.
            error: Why it failed.

        Raises:
            LossNotFiniteError: The weights are to blame, for the :data:`MOST_IN_A_ROW`-th time.
        """
        is_to_blame = self._is_to_blame(env_steps)
        self._in_a_row += is_to_blame
        log.warning("update left out", reason=str(error), algorithm_to_blame=is_to_blame)
        if self._in_a_row >= MOST_IN_A_ROW:
            raise LossNotFiniteError(
                f"{MOST_IN_A_ROW} updates in a row had a loss that is not finite: {error}"
            ) from error
        for batch in self._source.refuse(taken, self._culprits(taken.experience, env_steps)):
            self._refused(batch)

    def _is_to_blame(self, env_steps: int) -> bool:
        """Whether the algorithm would fail on experience that it was trained on, too."""
        if self._trained is None:
            # The first weights are sound, but with its own experience nobody else is to blame.
            return self._source.is_own
        return not self._algorithm.is_sound(self._trained, env_steps)

    def _culprits(self, experience: Any, env_steps: int) -> Sequence[int]:
        """Indices of session batches, or of items of a sample, each of which alone fails."""
        is_batches = isinstance(experience, Sequence)
        count = len(experience) if is_batches else len(experience.rows)

        def is_bad(group: Sequence[int]) -> bool:
            # Repeated to the same size: another one would need another graph.
            chosen = [group[index % len(group)] for index in range(count)]
            part = [experience[i] for i in chosen] if is_batches else experience.repeated(chosen)
            return self._algorithm.is_sound(part, env_steps) is False

        return culprits(is_bad, count)


def culprits(
    is_bad: Callable[[Sequence[int]], bool], count: int, most_tries: int = MOST_TRIES
) -> Sequence[int]:
    """Which of ``count`` parts make a whole bad, by halving what is bad.

    Args:
        is_bad: Whether parts with these indices are bad together.
        count: Number of parts, at least 1. All together are bad.
        most_tries: Most calls of ``is_bad``, at least 2·log₂(count), so that one is always found.

    Returns:
        Indices in order, at least one. All parts of a group that is bad without a bad half.
    """
    found: list[int] = []
    groups: list[Sequence[int]] = [range(count)]
    tries = 0
    while groups:
        group = groups.pop()
        if len(group) == 1:
            found += group
            continue
        if tries + 2 > most_tries:
            break
        tries += 2
        middle = len(group) // 2
        bad = [half for half in (group[:middle], group[middle:]) if is_bad(half)]
        groups += bad
        if not bad:
            found += group
    return sorted(found or range(count))
