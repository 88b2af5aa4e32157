"""Experiments that come with tinyqueue, found by file name or by environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from tinyqueue.algorithms.bare import BareAlgorithm
from tinyqueue.algorithms.registry import find
from tinyqueue.experiment.components import DEFAULTS, chosen, located
from tinyqueue.experiment.documents import read_document
from tinyqueue.experiment.experiment import ConfigTable, Experiment, parse_experiment
from tinyqueue.experiment.older import known_only
from tinyqueue.models.registry import find as find_model

FIRST = ("lunarlander-ppo", "pong-ppo")
"""Presets that an environment's id selects before all others: they got furthest, soonest. Pong was
solved without sticky actions only."""


def presets() -> dict[str, Path]:
    """Name → TOML file, from the installed package or from a checkout's ``config/experiments``."""
    packed = Path(str(files("tinyqueue"))) / "presets"
    folder = packed if packed.is_dir() else packed.parent.parent / "config" / "experiments"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def preset_for(environment_id: str) -> Path | None:
    """The preset of an environment, or None.

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


OF_ALGORITHM = ("normalise_observations", "normalise_rewards")
"""Settings of ``[environment]`` that say how an algorithm learns, not what is played."""


def without_normalisation(environment: Mapping[str, Any]) -> dict[str, Any]:
    """An environment's table without :data:`OF_ALGORITHM`."""
    return {name: value for name, value in environment.items() if name not in OF_ALGORITHM}


def preset_with(environment: Mapping[str, Any], algorithm: str) -> Path | None:
    """The preset for exactly this environment, wrappers included, and this algorithm, or None."""
    played = without_normalisation(environment)
    for path in presets().values():
        document = read_document(path)
        if (
            without_normalisation(document.get("environment", {})) == played
            and chosen(document, "algorithm") == algorithm
        ):
            return path
    return None


def configs(*documents: Mapping[str, Any]) -> dict[str, ConfigTable]:
    """The config dataclasses of the algorithms and models that documents name.

    ``algorithms`` and ``models``, each by name.

    Raises:
        UnknownNameError: There is none of a name.
        ConfigError: A file or entry point does not import, or lacks what it must have.
    """
    names = {kind: {chosen(document, kind) for document in documents} for kind in DEFAULTS}
    return {
        "algorithms": {name: find(name).Config for name in names["algorithm"]},
        "models": {name: find_model(name).config for name in names["model"]},
    }


def make_experiment(document: dict[str, Any]) -> Experiment:
    """The experiment of a document, checked with all known algorithms and models.

    Raises:
        ConfigError: A key or value is unknown, missing or out of range, or two do not fit
            together.
    """
    experiment = parse_experiment(document, **configs(document))
    slots = experiment.session.slots * experiment.learner.batches_per_update
    algorithm = find(experiment.algorithm_name)
    algorithm.check(experiment.algorithm, experiment.session.ticks, slots)
    return replace(experiment, has_model=not issubclass(algorithm, BareAlgorithm))


def of_run(run: Path) -> Experiment:
    """The experiment of a run directory, which another version may have made.

    Raises:
        ConfigError: As :func:`make_experiment`, except for keys that no longer exist.
    """
    document = located(read_document(run / "experiment.toml"), run)
    known, _ = known_only(document, **configs(document))
    return make_experiment(known)
