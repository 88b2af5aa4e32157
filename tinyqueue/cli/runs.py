"""What is said of a run that is not there: which there are."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tinyqueue.errors import RunDirectoryError
from tinyqueue.monitor.view import shown
from tinyqueue.settings import load_settings

_MOST = 5
"""Runs that are named."""


def require_exists(run: Path) -> None:
    """Returns where there is something at this path.

    Raises:
        RunDirectoryError: There is nothing; the text names the runs that there are, those first
            that were trained last.
    """
    if run.exists():
        return
    root = load_settings().runs_dir
    used: dict[Path, float] = {}
    for path in root.glob("*/*/run.json"):
        # A refused one goes away meanwhile.
        with suppress(FileNotFoundError):
            used[path.parent] = path.stat().st_mtime
    runs = sorted(used, key=lambda path: used[path], reverse=True)
    if not runs:
        there = f"There are no runs in {root}: `tinyqueue train CartPole-v1` makes one."
    else:
        named = ", ".join(shown(path) for path in runs[:_MOST])
        more = f", and {len(runs) - _MOST} more" if len(runs) > _MOST else ""
        there = f"Runs in {root}, the last trained first: {named}{more}."
    raise RunDirectoryError(f"{run} does not exist. {there}")
