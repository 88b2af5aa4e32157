"""From what a person types to an experiment and its run directory."""

from __future__ import annotations

import difflib
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tinyqueue.catalogue import make_experiment, preset_for, presets
from tinyqueue.envs.names import find_environment, import_allowed
from tinyqueue.errors import ConfigError, UnknownNameError
from tinyqueue.experiment.documents import read_document, with_overrides
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.learner.run_directory import RunDirectory
from tinyqueue.settings import host_name

GAMES_PRESET = "pong-ppo"
"""Whose settings an Atari game without a preset of its own gets."""
GAMES_ENV_STEPS = 10_000_000
"""40 M frames; what PPO's paper gave every game."""

_SHIPPED = (
    "tinyqueue",
    "tensorflow-cpu",
    "tensorflow",
    "keras",
    "gymnasium",
    "numpy",
    "onnxruntime",
)


def find_document(target: str) -> tuple[dict[str, Any], str]:
    """The document of a TOML file, a preset, or an environment id; and what it was taken from.

    Raises:
        ConfigError: A file that cannot be read.
        UnknownNameError: Nearly a preset's name.
    """
    if target.endswith(".toml") or ("/" in target and Path(target).exists()):
        return read_document(Path(target)), target
    known = presets()
    if target in known:
        return read_document(known[target]), f"preset {target}"
    preset = preset_for(target)
    if preset is not None:
        return read_document(preset), f"preset {preset.stem}"
    if difflib.get_close_matches(target, known, n=1, cutoff=0.85):
        raise UnknownNameError("preset or environment", target, known)
    if target.startswith("ALE/"):
        return _game(target), f"the settings of preset {GAMES_PRESET} (this game has none)"
    return {"environment": {"id": target}}, "documented defaults (there is no preset for it)"


def _game(target: str) -> dict[str, Any]:
    """A document for an Atari game of which no preset is: defaults are those of small vectors."""
    document = read_document(presets()[GAMES_PRESET])
    del document["name"]
    document["environment"]["id"] = target
    document["stop"] = {"max_env_steps": GAMES_ENV_STEPS}
    return document


def configured(
    document: dict[str, Any],
    assignments: Sequence[str] = (),
    *,
    seed: int | None = None,
    stop_at_return: float | None = None,
    max_env_steps: int | None = None,
) -> Experiment:
    """The experiment with a command's options applied over its document.

    Raises:
        ConfigError: A key or value is unknown, missing or out of range.
    """
    document = with_overrides(document, list(assignments))
    if seed is not None:
        document["seed"] = seed
    stop = dict(document.get("stop", {}))
    if stop_at_return is not None:
        stop["at_return"] = stop_at_return
    if max_env_steps is not None:
        stop["max_env_steps"] = max_env_steps
    if stop:
        document["stop"] = stop
    return make_experiment(document)


def new_run(runs: Path, experiment: Experiment, modules: Sequence[str] = ()) -> RunDirectory:
    """A new numbered run directory, for an environment that is there.

    Args:
        modules: This machine's modules that register environments.

    Raises:
        ConfigError: The environment is unknown.
        RunDirectoryError: The folder cannot be written.
    """
    import_allowed(modules)
    find_environment(experiment.environment.id)
    return RunDirectory.create(runs, experiment.document(), _surroundings(experiment))


def open_run(path: Path, **changes: Any) -> tuple[RunDirectory, Experiment]:
    """An existing run and its experiment, with the same changes as :func:`configured` takes.

    Raises:
        RunDirectoryError: There is none, or it is in use.
        ConfigError: Its experiment cannot be used by this version.
    """
    run = RunDirectory.open(path)
    try:
        return run, configured(run.document(), **changes)
    except ConfigError:
        run.close()
        raise


def _surroundings(experiment: Experiment) -> dict[str, Any]:
    versions = {}
    for name in _SHIPPED:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "host": host_name(),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "versions": versions,
        "seed": experiment.seed,
    }
