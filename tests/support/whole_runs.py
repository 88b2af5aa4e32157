"""Runs with the whole network of an untrained checkpoint, in which weights may be set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tinyqueue.catalogue import make_experiment
from tinyqueue.envs.describe import describe
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.learner.build import build
from tinyqueue.run.checkpoint import Checkpoint
from tinyqueue.run.checkpoints import Checkpoints
from tinyqueue.run.run_directory import RunDirectory

Change = Callable[[str, np.ndarray], np.ndarray]


def unchanged(name: str, values: np.ndarray) -> np.ndarray:
    return values


def constant(*bias: float) -> Change:
    """Every weight 0 but the bias of the output of that size: the network says just this."""

    def change(name: str, values: np.ndarray) -> np.ndarray:
        if name.endswith("bias") and values.shape == (len(bias),):
            return np.array(bias, values.dtype)
        return np.zeros_like(values)

    return change


def untrained(
    document: dict[str, Any], change: Change = unchanged
) -> tuple[Experiment, Checkpoint]:
    """An experiment and the checkpoint of its first weights, after they were changed."""
    experiment = make_experiment(document)
    built = build(experiment, describe(experiment.environment), "c" * 32)
    state = {
        name: change(name, values) if name.startswith("model/") else values
        for name, values in built.algorithm.state().items()
    }
    return experiment, Checkpoint(
        env_steps=1000,
        updates=10,
        version=10,
        weights=built.export.arrays(),
        state=state,
        graph=built.export.graph,
        spec=built.spec.model_dump(),
    )


def whole_run(root: Path, document: dict[str, Any], change: Change = unchanged) -> Path:
    """A run directory with that checkpoint."""
    _, checkpoint = untrained(document, change)
    run = RunDirectory.create(root, document, {})
    Checkpoints(run.path / "checkpoints", keep=9).save(checkpoint)
    run.close()
    return run.path
