"""Experiments that come with tinyqueue, found by file name or by environment."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from tinyqueue.algorithms.registry import ALGORITHMS
from tinyqueue.experiment import Experiment, parse_experiment, read_document
from tinyqueue.models.registry import MODELS


def presets() -> dict[str, Path]:
    """Name → TOML file: of the installed package, or of a checkout's ``config/experiments``."""
    packed = Path(str(files("tinyqueue"))) / "presets"
    folder = packed if packed.is_dir() else packed.parent.parent / "config" / "experiments"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def preset_for(environment_id: str) -> Path | None:
    """The preset of an environment, or None when there is none.

    The default algorithm's file comes first: ``cartpole-impala`` before ``cartpole-a3c``.
    """
    fitting = [
        path
        for path in presets().values()
        if read_document(path).get("environment", {}).get("id") == environment_id
    ]
    by_default_first = sorted(fitting, key=lambda path: not path.stem.endswith("-impala"))
    return by_default_first[0] if by_default_first else None


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
