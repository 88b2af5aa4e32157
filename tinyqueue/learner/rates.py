"""How fast counts rise, whether they rise a hundred times per second or once in ten."""

from __future__ import annotations

WINDOW_S = 5.0
"""Seconds that a rate spans at least, once so many have passed."""
SPACING_S = 0.25
"""Seconds between two marks at least: CartPole's counts rise a hundred times in a second."""

Mark = tuple[float, int, int]


class Rates:
    """Env steps and updates per second, from one moment at which they rose to another.

    Looked at in between, a count that rises every three seconds has not moved for two of
    them. A rate therefore ends where the counts last rose, and begins at the newest rise that
    is a window older. One thread notes; any thread may ask.

    Args:
        window_s: Seconds that a rate spans at least; more when the counts rise more rarely.
        spacing_s: Rises that follow a noted one more closely are left out.
    """

    def __init__(self, window_s: float = WINDOW_S, spacing_s: float = SPACING_S) -> None:
        self._window_s = window_s
        self._spacing_s = spacing_s
        self._marks: tuple[Mark, ...] = ()

    def note(self, now_s: float, env_steps: int, updates: int) -> None:
        """The counts have just risen to these."""
        marks = self._marks
        if marks and now_s - marks[-1][0] < self._spacing_s:
            return
        while len(marks) > 1 and now_s - marks[1][0] >= self._window_s:
            marks = marks[1:]
        self._marks = (*marks, (now_s, env_steps, updates))

    def at(self, now_s: float) -> tuple[float, float]:
        """Env steps and updates per second; 0 before two rises are known, and in a long silence.

        A silence longer than the usual one between two rises counts as time in which
        nothing rose.
        """
        marks = self._marks
        if len(marks) < 2:
            return 0.0, 0.0
        (from_s, env_steps_from, updates_from), (to_s, env_steps, updates) = marks[0], marks[-1]
        span_s = to_s - from_s
        if now_s - to_s > max(self._window_s, 2 * span_s):
            return 0.0, 0.0
        usual_s = span_s / (len(marks) - 1)
        elapsed_s = max(span_s, now_s - from_s - usual_s)
        return (env_steps - env_steps_from) / elapsed_s, (updates - updates_from) / elapsed_s
