"""Experiments that come with tinyqueue, found by file name or by environment."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from tinyqueue.algorithms.registry import ALGORITHMS
from tinyqueue.experiment.documents import read_document
from tinyqueue.experiment.experiment import Experiment, parse_experiment
from tinyqueue.models.registry import MODELS

FIRST = ("pong-ppo",)
"""What an environment's id stands for where it is not the preset of ``impala``: what has
solved it, if only without sticky actions."""


def presets() -> dict[str, Path]:
    """Name → TOML file: of the installed package, or of a checkout's ``config/experiments``."""
    packed = Path(str(files("tinyqueue"))) / "presets"
    folder = packed if packed.is_dir() else packed.parent.parent / "config" / "experiments"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def preset_for(environment_id: str) -> Path | None:
    """The preset of an environment, or None when there is none.

    :data:`FIRST` come first, and then the default algorithm's file: ``cartpole-impala`` before
    ``cartpole-a3c``.
    """
    fitting = [
        path
        for path in presets().values()
        if read_document(path).get("environment", {}).get("id") == environment_id
    ]

    def rank(path: Path) -> tuple[bool, bool]:
        return path.stem not in FIRST, not path.stem.endswith("-impala")

    return min(fitting, key=rank, default=None)


def make_experiment(document: dict[str, Any]) -> Experiment:
    """Checks a document against every algorithm and model that is known.

    Raises:
        ConfigError: A key or value is unknown, missing or out of range, or two do not fit.
    """
    experiment = parse_experiment(
        document,
        algorithms={name: entry.config for name, entry in ALGORITHMS.items()},
        models={name: entry.config for name, entry in MODELS.items()},
    )
    slots = experiment.session.slots * experiment.learner.batches_per_update
    ALGORITHMS[experiment.algorithm_name].check(experiment.algorithm, slots)
    return experiment
