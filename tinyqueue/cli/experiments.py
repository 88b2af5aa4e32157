"""From what a person types to an experiment and its run directory."""

from __future__ import annotations

import difflib
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tinyqueue.algorithms.bare import BareAlgorithm
from tinyqueue.algorithms.default import FOR_REALS, is_open
from tinyqueue.algorithms.initial_weights import KEY as INIT_FROM
from tinyqueue.algorithms.initial_weights import OWN_NETWORK, read_initial_weights
from tinyqueue.algorithms.registry import find
from tinyqueue.catalogue import (
    OF_ALGORITHM,
    configs,
    make_experiment,
    of_run,
    preset_for,
    preset_with,
    presets,
    without_normalisation,
)
from tinyqueue.cli.runs import MODULES, PYTHONPATH, require_run
from tinyqueue.envs.names import find_environment, import_allowed, training_of
from tinyqueue.envs.wrapped import find_wrapper
from tinyqueue.errors import ConfigError, TinyqueueError, UnknownNameError
from tinyqueue.experiment.components import DEFAULTS, chosen, located, without_former
from tinyqueue.experiment.documents import read_document, with_overrides
from tinyqueue.experiment.experiment import ConfigTable, Experiment
from tinyqueue.experiment.file_names import label
from tinyqueue.experiment.older import known_only, listed, new_since, told
from tinyqueue.experiment.values import Assignment
from tinyqueue.run.run_directory import RunDirectory
from tinyqueue.settings import host_name

GAMES_PRESET = "pong-ppo"
"""The preset whose settings an Atari game without its own preset gets."""
GAMES_ENV_STEPS = 10_000_000
"""40 M frames, as in the PPO paper."""

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
    """The document of a TOML file, a preset or an environment id, and its source in words.

    Raises:
        ConfigError: The file cannot be read, or is Python code.
        UnknownNameError: The target is nearly the name of a preset.
    """
    target = os.path.expanduser(target)
    if target.endswith(".py"):
        raise ConfigError(
            f"{target} is Python code. Name an environment that it registers: "
            f"{training_of(target)}."
        )
    if target.endswith(".toml") or ("/" in target and Path(target).exists()):
        path = Path(target)
        return located(read_document(path), path.parent), target
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
    return {"environment": {"id": target}}, "documented defaults, since it has no preset"


def _game(target: str) -> dict[str, Any]:
    """A document for an Atari game without a preset: the defaults are for vector observations."""
    document = read_document(presets()[GAMES_PRESET])
    del document["name"]
    document["environment"]["id"] = target
    document["stop"] = {"max_env_steps": GAMES_ENV_STEPS}
    return document


def chosen_for(
    document: dict[str, Any], source: str, assignments: Sequence[str | Assignment]
) -> tuple[dict[str, Any], str]:
    """The document to apply assignments to, which may name another algorithm or model.

    A preset for the same environment with that algorithm is used instead, if there is one.
    Otherwise a preset's settings for its own algorithm are left out, and from a person's file the
    settings that the new algorithm or model does not have.

    Args:
        document, source: From :func:`find_document`.
        assignments: ``section.key=value``.

    Returns:
        The document, and the source with what was changed, in words.
    """
    wanted = _wanted(document, assignments)
    if not wanted:
        return document, source
    is_file = source.endswith(".toml") or "/" in source
    preset = preset_with(document.get("environment", {}), wanted.get("algorithm", ""))
    if preset is not None and not is_file:
        said = f"preset {preset.stem}, since it trains this environment with {wanted['algorithm']}"
        document, source = read_document(preset), said
        wanted = _wanted(document, assignments)
    result, gone = without_former(
        document,
        wanted,
        **_configs(document, _typed(assignments)),
        keeps_shared=is_file,
    )
    if "algorithm" in wanted and not is_file:
        result.pop("name", None)
        kept = result.get("environment", {})
        result["environment"] = without_normalisation(kept)
        gone += [f"environment.{name}" for name in OF_ALGORITHM if name in kept]
    if gone:
        names = " and ".join(map(label, wanted.values()))
        have = "have their" if len(wanted) > 1 else "has its"
        source += f"; its settings {listed(gone)} are left out: {names} {have} own defaults"
    return result, source


def _wanted(document: dict[str, Any], assignments: Sequence[str | Assignment]) -> dict[str, str]:
    """``algorithm`` and ``model`` → the name that was typed, if it differs."""
    typed = _typed(assignments)
    names = {kind: chosen(typed, kind) for kind in DEFAULTS if "name" in typed.get(kind, {})}
    return {kind: name for kind, name in names.items() if name != chosen(document, kind)}


def _typed(assignments: Sequence[str | Assignment]) -> dict[str, Any]:
    """What was typed; paths are relative to the working folder."""
    return located(with_overrides({}, list(assignments)), Path())


def _configs(*documents: Mapping[str, Any]) -> dict[str, ConfigTable]:
    """As of :func:`configs`; empty where a name is unknown, to be refused when it is used."""
    try:
        return configs(*documents)
    except UnknownNameError:
        return {"algorithms": {}, "models": {}}


def configured(
    document: dict[str, Any],
    assignments: Sequence[str | Assignment] = (),
    *,
    seed: int | None = None,
    stop_at_return: float | None = None,
    max_env_steps: int | None = None,
) -> Experiment:
    """The experiment of a document with a command's options applied.

    Raises:
        ConfigError: A key or value is unknown, missing or out of range, or is for a model that the
            algorithm does not use.
    """
    document = located(with_overrides(document, list(assignments)), Path())
    if seed is not None:
        document["seed"] = seed
    stop = dict(document.get("stop", {}))
    if stop_at_return is not None:
        stop["at_return"] = stop_at_return
    if max_env_steps is not None:
        stop["max_env_steps"] = max_env_steps
    if stop:
        document["stop"] = stop
    experiment = make_experiment(document)
    if "model" in _typed(assignments) and issubclass(
        find(experiment.algorithm_name), BareAlgorithm
    ):
        raise ConfigError(
            f"model settings have no effect: {experiment.algorithm_label} brings its own network. "
            "Leave them out."
        )
    return experiment


def headline(experiment: Experiment, source: str) -> str:
    """What is about to be trained, and whether the environment may still decide otherwise."""
    name = experiment.algorithm_label
    if is_open(experiment):
        name += f" ({FOR_REALS} if its actions are real numbers)"
    return f"{experiment.environment.id} with {name}, from {source}"


def as_trained(experiment: Experiment, path: Path) -> Experiment:
    """The experiment of a run that has ended, with what its environment has decided.

    Args:
        experiment: As it was before the environment was known.
        path: The run directory.
    """
    if not is_open(experiment):
        return experiment
    try:
        return of_run(path)
    except TinyqueueError:
        # A user's own file that it names may be gone by now. Only advice depends on it.
        return experiment


def new_run(
    runs: Path,
    experiment: Experiment,
    modules: Sequence[str] = (),
    *,
    init_from: Path | None = None,
) -> tuple[RunDirectory, Experiment]:
    """A new numbered run directory, once the environment has been found.

    With it comes the experiment with the copies that the run keeps of the user's own files.

    Args:
        runs: The folder of all runs.
        experiment: The experiment to train.
        modules: This machine's modules that register environments.
        init_from: A run or sample whose weights the run starts from.

    Raises:
        CheckpointError: There are no weights to start from.
        ConfigError: The environment is unknown, or a wrapper cannot be used here.
        RunDirectoryError: The folder cannot be written.
    """
    import_allowed(modules)
    find_environment(experiment.environment.id)
    for environment in (experiment.environment, experiment.evaluated):
        for wrapper in environment.wrappers if environment else ():
            find_wrapper(wrapper)
    info = _surroundings(experiment)
    info[MODULES], info[PYTHONPATH] = list(modules), os.environ.get("PYTHONPATH", "")
    if init_from is not None:
        if issubclass(find(experiment.algorithm_name), BareAlgorithm):
            raise ConfigError(OWN_NETWORK)
        require_run(init_from)
        read_initial_weights(init_from)
        info[INIT_FROM] = str(init_from.resolve())
    run = RunDirectory.create(runs, experiment.document(), info)
    return run, _with_code_of(run.document(), experiment)


def open_run(path: Path, **changes: Any) -> tuple[RunDirectory, Experiment, str]:
    """An existing run, and its experiment with changes as for :func:`configured`.

    Other files of the user that the changes name are copied into the run.

    Returns:
        The run, the experiment, and in words what became of another version's settings and which
        of the user's own files have changed; empty if neither applies.

    Raises:
        RunDirectoryError: There is no such run, or it is in use.
        ConfigError: Its experiment cannot be used by this version.
    """
    run = RunDirectory.open(path)
    try:
        document = run.document()
        known, gone = known_only(document, **configs(document))
        new = new_since(document, make_experiment(known).document())
        base, _ = chosen_for(known, f"{path}/", changes.get("assignments", ()))
        experiment = configured(base, **changes)
        experiment = _with_code_of(run.take_code(experiment.document()), experiment)
        names = (experiment.algorithm_name, experiment.model_name)
        remarks = [told(new, gone), *run.changed_code(names)]
        return run, experiment, "; ".join(filter(None, remarks))
    except TinyqueueError:
        run.close()
        raise


def _with_code_of(document: Mapping[str, Any], experiment: Experiment) -> Experiment:
    """The experiment with a document's copies of the user's own files."""
    return replace(
        experiment,
        algorithm_name=chosen(document, "algorithm"),
        model_name=chosen(document, "model"),
    )


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
