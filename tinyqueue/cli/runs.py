"""Errors for a run that does not exist, which name the runs that do."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from tinyqueue.errors import RunDirectoryError
from tinyqueue.monitor.view import shown
from tinyqueue.settings import load_settings

_MOST = 5
"""Most runs to name."""


def require_run(run: Path) -> None:
    """Returns if there is a folder at this path that is not a folder of runs.

    Raises:
        RunDirectoryError: There is nothing, a file, or a folder of runs; the text names the
            existing runs, the last trained first.
    """
    if run.is_dir():
        inside = [] if (run / "run.json").exists() else _last_trained_first(run, "*/run.json")
        if inside:
            raise RunDirectoryError(
                f"{run} is not a run directory but holds some. Give one: {_named(inside)}."
            )
        return
    root = load_settings().runs_dir
    runs = _last_trained_first(root, "*/*/run.json")
    if not runs:
        there = f"There are no runs in {root}: `tinyqueue train CartPole-v1` makes one."
    else:
        there = f"Runs in {root}, the last trained first: {_named(runs)}."
    what = "is a file, not a run directory" if run.exists() else "does not exist"
    raise RunDirectoryError(f"{run} {what}. {there}")


def experiment_of(run: Path) -> str:
    """The experiment's name, from the run itself, since its folder may be anywhere."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((run / "run.json").read_bytes())["experiment"])
    return run.resolve().parent.name


def _last_trained_first(folder: Path, pattern: str) -> list[Path]:
    used: dict[Path, float] = {}
    for path in folder.glob(pattern):
        # A run that was refused may be deleted meanwhile.
        with suppress(FileNotFoundError):
            used[path.parent] = path.stat().st_mtime
    return sorted(used, key=lambda path: used[path], reverse=True)


def _named(runs: list[Path]) -> str:
    more = f", and {len(runs) - _MOST} more" if len(runs) > _MOST else ""
    return ", ".join(shown(path) for path in runs[:_MOST]) + more
