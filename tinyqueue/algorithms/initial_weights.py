"""Starting a run from the weights of another run or of a sample: ``--init-from``.

Weights are taken by name where shapes agree; the optimiser begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from tinyqueue.algorithms.bare import BareAlgorithm
from tinyqueue.algorithms.base import Algorithm, AnyAlgorithm
from tinyqueue.data.names import OBSERVATION_STATISTICS
from tinyqueue.data.spaces import Arrays
from tinyqueue.errors import CheckpointError
from tinyqueue.models.tensors import Variable
from tinyqueue.policy.sample import is_sample, read_sample
from tinyqueue.run.checkpoints import CheckpointReader
from tinyqueue.run.run_directory import RunDirectory

KEY = "init_from"
"""Where a run's ``info`` has the path of the run or sample that it starts from."""

OWN_NETWORK = (
    "--init-from gives weights to a Keras network, and this algorithm brings a network of its own. "
    "Leave it out, and read the weights in the algorithm."
)
"""Why weights are not taken."""

_MODEL, _TARGET = "model/", "target/"
_WEIGHTS = (_MODEL, "critic/", _TARGET)
# Prefixes of weights among what an algorithm keeps: neither the optimiser's state nor counters.
_MOST = 4
# Names that are listed; the rest are counted.


@dataclass(frozen=True)
class InitialWeights:
    """Weights to start from.

    Attributes:
        arrays: Name in a checkpoint → array: ``model/dense/kernel``.
        source: Where they are from, for people.
        env_steps: How many env steps they were trained for.
    """

    arrays: Arrays
    source: str
    env_steps: int = 0


@dataclass(frozen=True)
class Taken:
    """What became of initial weights.

    Attributes:
        names: Those that were taken.
        differ: Name → how the shapes differ.
        only_here: Names that the source does not have.
        only_there: Names that this network does not have.
    """

    names: tuple[str, ...]
    differ: Mapping[str, str]
    only_here: tuple[str, ...]
    only_there: tuple[str, ...]

    @property
    def left(self) -> str:
        """What was not taken, in words; empty if everything was."""
        differ = [f"{name} is {how}" for name, how in self.differ.items()]
        parts = [
            _listed(differ, "of another shape"),
            _listed(self.only_here, "only in this network, and as it was initialised"),
            _listed(self.only_there, "only in the source"),
        ]
        return "; ".join(filter(None, parts))


def read_initial_weights(path: Path) -> InitialWeights:
    """The weights of a run's newest checkpoint, or of a sample.

    Raises:
        CheckpointError: There are none, or they are damaged.
    """
    if is_sample(path):
        sample = read_sample(path)
        arrays = {f"{_MODEL}{name}": array for name, array in sample.weights.items()}
        source = f"the sample {path} ({sample.env_steps:,} env steps)"
        return InitialWeights(arrays, source, sample.env_steps)
    checkpoint = CheckpointReader(path / "checkpoints").newest()
    if checkpoint is None:
        raise CheckpointError(
            f"{path} has no checkpoint to start from. Give a run directory that has been trained, "
            "such as runs/<experiment>/<number>, or a sample."
        )
    arrays = {n: array for n, array in checkpoint.state.items() if n.startswith(_WEIGHTS)}
    source = f"{path} at {checkpoint.env_steps:,} env steps"
    return InitialWeights(arrays, source, checkpoint.env_steps)


def start_from(algorithm: Algorithm[Any, Any], weights: InitialWeights) -> Taken:
    """Assigns the weights that the algorithm has under the same name and in the same shape.

    A target network whose weights the source lacks becomes a copy of what was taken.

    Raises:
        CheckpointError: Nothing agrees; the text lists what differs.
    """
    here = {name: v for name, v in algorithm.kept.items() if name.startswith(_WEIGHTS)}
    there = weights.arrays
    agreed = [name for name in here if name in there and _agree(here[name], there[name])]
    counted = [name for name in here if not name.startswith(_TARGET)]
    taken = Taken(
        names=tuple(name for name in counted if name in agreed),
        differ={
            name: f"{list(there[name].shape)} there and {list(here[name].shape)} here"
            for name in counted
            if name in there and name not in agreed
        },
        only_here=tuple(name for name in counted if name not in there),
        only_there=tuple(n for n in there if n not in here and not n.startswith(_TARGET)),
    )
    if not taken.names:
        raise CheckpointError(
            f"no weight of {weights.source} fits this network: {taken.left}. Set the model and "
            "environment of the run that it is from, or leave out --init-from."
        )
    for name in agreed:
        here[name].assign(there[name].astype(here[name].dtype.name))
    for name in here:
        if name.startswith(_TARGET) and name not in agreed:
            trained = _trained_of(name, here)
            if trained in taken.names:
                here[name].assign(here[trained])
    return taken


def initialise(
    run: RunDirectory,
    algorithm: AnyAlgorithm[Any, Any],
    keep_statistics: Callable[[int], None] = lambda count: None,
) -> list[str]:
    """Starts a run from the weights that it was created with, unless it has a checkpoint.

    Args:
        run: The run.
        algorithm: Its algorithm, built.
        keep_statistics: Called with their number of env steps if statistics of observations are
            among the weights, which otherwise begin anew with the first batch.

    Returns:
        What was taken and what was not, in sentences; empty if there was nothing to do.

    Raises:
        CheckpointError: As :func:`read_initial_weights` and :func:`start_from`; or the algorithm
            has no Keras network.
    """
    path = run.info().get(KEY)
    if path is None or CheckpointReader(run.path / "checkpoints").paths():
        return []
    if isinstance(algorithm, BareAlgorithm):
        raise CheckpointError(OWN_NETWORK)
    weights = read_initial_weights(Path(path))
    taken = start_from(cast(Algorithm[Any, Any], algorithm), weights)
    if any(name.startswith(f"{_MODEL}{OBSERVATION_STATISTICS}") for name in taken.names):
        keep_statistics(weights.env_steps)
    count = len(taken.names)
    total = count + len(taken.differ) + len(taken.only_here)
    said = [
        f"initial weights from {weights.source}: {count} of {total} arrays, {_some(taken.names)}; "
        "the optimiser begins anew"
    ]
    return [*said, f"not taken: {taken.left}"] if taken.left else said


def _agree(variable: Variable, array: np.ndarray[Any, Any]) -> bool:
    return bool(tuple(variable.shape) == array.shape and array.dtype.kind == "f")


def _trained_of(target: str, here: Mapping[str, Variable]) -> str:
    """The trained variable that a target network's variable follows."""
    rest = target.removeprefix(_TARGET)
    return next((p + rest for p in _WEIGHTS if p != _TARGET and p + rest in here), "")


def _listed(names: tuple[str, ...] | list[str], what: str) -> str:
    return f"{len(names)} {what} ({_some(names)})" if names else ""


def _some(names: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(name.removeprefix(_MODEL) for name in names[:_MOST]) + more
