"""What is said of a run that is not there: which there are."""

from __future__ import annotations

from pathlib import Path

from tinyqueue.errors import RunDirectoryError
from tinyqueue.monitor.view import shown
from tinyqueue.settings import load_settings

_MOST = 5
"""Runs that are named."""


def require_exists(run: Path) -> None:
    """Returns where there is something at this path.

    Raises:
        RunDirectoryError: There is nothing; the text names the newest runs that there are.
    """
    if run.exists():
        return
    root = load_settings().runs_dir
    made = {path.parent: path.stat().st_mtime for path in root.glob("*/*/run.json")}
    newest = sorted(made, key=lambda path: made[path], reverse=True)
    if not newest:
        there = f"There are no runs in {root}: `tinyqueue train CartPole-v1` makes one."
    else:
        named = ", ".join(shown(path) for path in newest[:_MOST])
        more = f", and {len(newest) - _MOST} older ones" if len(newest) > _MOST else ""
        there = f"Runs in {root}, the newest first: {named}{more}."
    raise RunDirectoryError(f"{run} does not exist. {there}")
