"""How fast a count increases, whether a hundred times per second or once in ten seconds."""

from __future__ import annotations

WINDOW_S = 5.0
"""Minimum time span of a rate, once that much time has passed."""
SPACING_S = 0.25
"""Minimum time between two marks: CartPole's counts increase a hundred times per second."""


class Rate:
    """Increase of a count per second, measured between two moments at which it increased.

    A count that increases every three seconds stands still in between. So the rate ends at the
    last increase, and starts at the newest increase that is at least a window earlier. One thread
    calls :meth:`note`; any thread may call :meth:`at`.

    Args:
        window_s: Minimum time span in seconds; longer if the count increases less often.
        spacing_s: Increases closer than this to the last one noted are ignored.
    """

    def __init__(self, window_s: float = WINDOW_S, spacing_s: float = SPACING_S) -> None:
        self._window_s = window_s
        self._spacing_s = spacing_s
        self._marks: tuple[tuple[float, int], ...] = ()

    def note(self, now_s: float, count: int) -> None:
        """Notes the count at this time; ignored if it has not increased.

        Args:
            now_s: On the monotonic clock.
            count: The count.
        """
        marks = self._marks
        if marks and (count == marks[-1][1] or now_s - marks[-1][0] < self._spacing_s):
            return
        while len(marks) > 1 and now_s - marks[1][0] >= self._window_s:
            marks = marks[1:]
        self._marks = (*marks, (now_s, count))

    def at(self, now_s: float) -> float:
        """The rate per second; 0 before the second increase, and after a long pause.

        A pause longer than usual counts as time without an increase.
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
