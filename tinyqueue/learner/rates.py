"""How fast a count rises, whether it does so a hundred times per second or once in ten."""

from __future__ import annotations

WINDOW_S = 5.0
"""Seconds that a rate spans at least, once so many have passed."""
SPACING_S = 0.25
"""Seconds between two marks at least: CartPole's counts rise a hundred times in a second."""


class Rate:
    """How much a count rises per second, from one moment at which it rose to another.

    Looked at in between, a count that rises every three seconds has not moved for two of
    them. The rate therefore ends where the count last rose, and begins at the newest rise that
    is a window older. One thread notes; any thread may ask.

    Args:
        window_s: Seconds that the rate spans at least; more when the count rises more rarely.
        spacing_s: Rises that follow a noted one more closely are left out.
    """

    def __init__(self, window_s: float = WINDOW_S, spacing_s: float = SPACING_S) -> None:
        self._window_s = window_s
        self._spacing_s = spacing_s
        self._marks: tuple[tuple[float, int], ...] = ()

    def note(self, now_s: float, count: int) -> None:
        """The count is this now; nothing is noted where it has not risen."""
        marks = self._marks
        if marks and (count == marks[-1][1] or now_s - marks[-1][0] < self._spacing_s):
            return
        while len(marks) > 1 and now_s - marks[1][0] >= self._window_s:
            marks = marks[1:]
        self._marks = (*marks, (now_s, count))

    def at(self, now_s: float) -> float:
        """Per second; 0 before two rises are known, and in a long silence.

        A silence longer than the usual one between two rises counts as time in which
        nothing rose.
        """
        marks = self._marks
        if len(marks) < 2:
            return 0.0
        (from_s, count_from), (to_s, count) = marks[0], marks[-1]
        span_s = to_s - from_s
        if now_s - to_s > max(self._window_s, 2 * span_s):
            return 0.0
        usual_s = span_s / (len(marks) - 1)
        elapsed_s = max(span_s, now_s - from_s - usual_s)
        return (count - count_from) / elapsed_s
