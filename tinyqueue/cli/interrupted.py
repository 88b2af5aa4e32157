"""What is said of a run when Ctrl-C ends its command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

NOTHING = "Nothing was saved, as nothing was trained yet."


@contextmanager
def saying_what_is_kept(run: Callable[[], Path | None]) -> Iterator[None]:
    """Inside it, an interruption gets a sentence about what there is to go on with.

    Args:
        run: Gives the run directory, which may be renamed meanwhile; None while there is none.
            The innermost decides.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if error.args:
            raise
        path = run()
        is_there = path is not None and path.is_dir()
        told = f"What was saved until now is in {path}." if is_there else NOTHING
        raise KeyboardInterrupt(told) from error


def stopped(error: click.Abort | KeyboardInterrupt) -> str:
    """An interruption in words; click wraps the one that has the sentence."""
    cause = error.__cause__ if isinstance(error, click.Abort) else error
    told = str(cause) if isinstance(cause, KeyboardInterrupt) else ""
    return f"stopped. {told}".rstrip()
