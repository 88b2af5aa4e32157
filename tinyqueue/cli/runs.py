"""What is said of a run that is not there: which there are."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from tinyqueue.errors import RunDirectoryError
from tinyqueue.monitor.view import shown
from tinyqueue.settings import load_settings

_MOST = 5
"""Runs that are named."""


def require_run(run: Path) -> None:
    """Returns where there is a folder at this path, and not one of runs.

    Raises:
        RunDirectoryError: There is nothing, a file, or a folder of runs; the text names the runs
            that there are, those first that were trained last.
    """
    if run.is_dir():
        inside = [] if (run / "run.json").exists() else _last_trained_first(run, "*/run.json")
        if inside:
            raise RunDirectoryError(
                f"{run} is no run directory and holds some. Give one: {_named(inside)}."
            )
        return
    root = load_settings().runs_dir
    runs = _last_trained_first(root, "*/*/run.json")
    if not runs:
        there = f"There are no runs in {root}: `tinyqueue train CartPole-v1` makes one."
    else:
        there = f"Runs in {root}, the last trained first: {_named(runs)}."
    what = "is a file and no run directory" if run.exists() else "does not exist"
    raise RunDirectoryError(f"{run} {what}. {there}")


def experiment_of(run: Path) -> str:
    """The experiment's name, as the run itself has it: its folder may be anywhere."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((run / "run.json").read_bytes())["experiment"])
    return run.resolve().parent.name


def _last_trained_first(folder: Path, pattern: str) -> list[Path]:
    used: dict[Path, float] = {}
    for path in folder.glob(pattern):
        # A refused one goes away meanwhile.
        with suppress(FileNotFoundError):
            used[path.parent] = path.stat().st_mtime
    return sorted(used, key=lambda path: used[path], reverse=True)


def _named(runs: list[Path]) -> str:
    more = f", and {len(runs) - _MOST} more" if len(runs) > _MOST else ""
    return ", ".join(shown(path) for path in runs[:_MOST]) + more
