"""Errors for a run that does not exist or cannot be played here, which say what there is."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tinyqueue.cli.advised import variables
from tinyqueue.envs.names import allowed_modules
from tinyqueue.errors import ConfigError, RunDirectoryError, UnknownNameError
from tinyqueue.monitor.view import shown
from tinyqueue.policy.sample import is_sample
from tinyqueue.settings import load_settings

MODULES, PYTHONPATH = "environment_modules", "pythonpath"
"""Keys of a run's info: what its environment was found with."""
_PARTS = ("run.json", "experiment.toml", "sessions.db", "episodes.jsonl", "checkpoints")
_MOST = 5
"""Most runs to name."""


def require_run(run: Path) -> None:
    """Returns if there is a run directory, or a part of one, or a sample at this path.

    Raises:
        RunDirectoryError: There is nothing, a file, a folder of runs or another folder; the text
            names the existing runs, the last trained first.
    """
    if run.is_dir():
        if is_sample(run) or any((run / part).exists() for part in _PARTS):
            return
        inside = _last_trained_first(run, "*/run.json") or _last_trained_first(run, "*/*/run.json")
        if inside:
            raise RunDirectoryError(
                f"{run} is not a run directory but holds some. Give one: {_named(inside)}."
            )
        what = "is not a run directory: it holds no run.json"
    else:
        what = "is a file, not a run directory" if run.exists() else "does not exist"
    raise RunDirectoryError(f"{run} {what}. {runs_there_are()}")


def require_ledger(run: Path, what: str) -> Path:
    """The ledger of a run directory.

    Args:
        run: The run directory.
        what: What is read from it: ``"count"``.

    Raises:
        RunDirectoryError: There is no such run, or it has no ledger; as for :func:`require_run`.
    """
    require_run(run)
    path = run / "sessions.db"
    if not path.is_file():
        raise RunDirectoryError(
            f"{run} holds no sessions.db, so it has no {what}: nothing that players sent was taken "
            f"in there. {runs_there_are('sessions.db')}"
        )
    return path


def runs_there_are(holding: str = "run.json") -> str:
    """The existing runs that hold a file, the last trained first, or a command that makes one."""
    root = load_settings().runs_dir
    runs = _last_trained_first(root, f"*/*/{holding}")
    if not runs:
        such = "" if holding == "run.json" else " that have it"
        return f"There are no runs{such} in {root}: `tinyqueue train CartPole-v1` makes one."
    return f"Runs in {root}, the last trained first: {_named(runs)}."


@contextmanager
def naming_modules(run: Path) -> Iterator[None]:
    """Inside it, an error for an environment unknown here names the modules a run was trained with.

    Args:
        run: The run directory, or a sample, which knows of none.

    Raises:
        ConfigError: The environment is unknown; with the command as it has to be.
    """
    try:
        yield
    except UnknownNameError as error:
        modules, path = _trained_with(run)
        lacking = [module for module in modules if module not in allowed_modules()]
        if error.kind != "environment" or not lacking:
            raise
        named = ",".join((*load_settings().environment_modules, *lacking))
        before = variables(named, path or os.environ.get("PYTHONPATH", ""))
        raise ConfigError(
            f"unknown environment {error.wrote!r}: {run} was trained with "
            f"{' and '.join(lacking)}, which is not named here. Write instead:\n"
            f"{before}{shlex.join(['tinyqueue', *sys.argv[1:]])}"
        ) from error


def _trained_with(run: Path) -> tuple[list[str], str]:
    """The modules of a run's environments and their ``PYTHONPATH``, as far as it knows them."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        info = json.loads((run / "run.json").read_bytes())["info"]
        return [str(module) for module in info[MODULES]], str(info.get(PYTHONPATH, ""))
    return [], ""


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
