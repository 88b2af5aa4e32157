"""Progress of a film, on a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status

from tinyqueue.monitor.console import PrintableConsole


class FilmStatus:
    """A line that shows what is filmed, and how many env steps so far."""

    def __init__(self, status: Status, what: str, every_s: float) -> None:
        self._status, self._what, self._every_s = status, what, every_s
        self._steps = 0
        self._next_s = 0.0

    @property
    def text(self) -> str:
        """Its present text."""
        return str(self._status.status)

    def tick(self) -> None:
        """Counts an env step."""
        self._steps += 1
        if time.monotonic() >= self._next_s:
            self._status.update(f"filming {self._what}: {self._steps:,} steps")
            self._next_s = time.monotonic() + self._every_s

    def writes(self) -> None:
        """Shows that playing is over and the file is being written."""
        self._status.update(f"writing the film of {self._what}")


@contextmanager
def filming(
    what: str, *, is_hidden: bool = False, console: Console | None = None, every_s: float = 0.2
) -> Iterator[FilmStatus]:
    """Shows the line until the end of the block, then removes it.

    Args:
        what: What is filmed, as a person would call it.
        is_hidden: Show nothing.
        console: Where to show it; by default on standard error, since standard output is for
            results. Without a terminal, what is filmed is printed once.
        every_s: Seconds between updates.
    """
    console = (
        PrintableConsole(quiet=True) if is_hidden else console or PrintableConsole(stderr=True)
    )
    if not console.is_terminal:
        console.print(f"filming {what}", highlight=False, soft_wrap=True)
    with console.status(f"filming {what}", refresh_per_second=4) as status:
        yield FilmStatus(status, what, every_s)
