"""Learning curves as numbers, read from run directories."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyqueue.data.spaces import Array
from tinyqueue.errors import ConfigError, NothingRecordedError, RunDirectoryError
from tinyqueue.experiment.documents import read_document
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.experiment.validation import validated
from tinyqueue.monitor.metrics import EvaluationField
from tinyqueue.monitor.recorded import complete_lines, info_names, read_episodes

POINTS = 100
EPISODES_PER_POINT = 20
"""Fewer would make a noisy curve; a short run gets fewer points instead, but at least 10."""


@dataclass(frozen=True)
class Curve:
    """Return against env steps.

    Attributes:
        experiment: The experiment of the runs.
        runs: Number of runs.
        label: Label for a legend.
        protocol: The settings that an Atari game's returns depend on; empty for others.
        env_steps: ``[N]``, rising.
        mean, low, high: ``[N]``: mean, lowest and highest return at each point, over episodes
            for one run, over the runs' means for several.
        evaluated_steps, evaluated_means: ``[E]``: env steps and mean returns of evaluations.
        level: The mean return that ends training; None if there is none.
    """

    experiment: str
    runs: int
    label: str
    protocol: str
    env_steps: Array
    mean: Array
    low: Array
    high: Array
    evaluated_steps: Array
    evaluated_means: Array
    level: float | None


def read_curve(run: Path, info: str | None = None) -> Curve:
    """The curve of one run: its episodes in groups of equal spans of env steps.

    Args:
        run: The run directory.
        info: A number of ``metrics.info`` to take instead of the return; then there are neither
            evaluations nor a level.

    Raises:
        NothingRecordedError: No episode has ended in it.
        RunDirectoryError: No episode had this number, or a line is damaged.
    """
    steps, returns = read_episodes(run, info)
    if not len(returns) and not len(read_episodes(run)[1]):
        raise NothingRecordedError(
            run,
            f"{run} holds no finished episode, so there is no curve to draw. If "
            "its episodes never end by themselves, set environment.max_episode_steps.",
        )
    if not len(returns):
        raise RunDirectoryError(
            f"{run} has no number of info called {info!r} in its episodes; "
            f"it has {', '.join(info_names(run)) or 'none'}. To record it: metrics.info=[{info!r}]."
        )
    points = min(max(len(returns) // EPISODES_PER_POINT, 10), POINTS)
    evaluations = list(complete_lines(run / "evaluations.jsonl")) if info is None else []
    experiment = _experiment(run)
    return Curve(
        experiment,
        1,
        f"{experiment}/{run.absolute().name}",
        _protocol(run),
        *_grouped(steps, returns, points),
        np.array([line[EvaluationField.ENV_STEPS] for line in evaluations], np.float64),
        np.array([line[EvaluationField.RETURN_MEAN] for line in evaluations], np.float64),
        evaluations[-1][EvaluationField.LEVEL] if evaluations else None,
    )


def merge(curves: Sequence[Curve]) -> Curve:
    """One curve of several runs of an experiment, over the env steps that all of them have.

    Args:
        curves: At least one.
    """
    if len(curves) == 1:
        return curves[0]
    start = max(curve.env_steps[0] for curve in curves)
    end = min(curve.env_steps[-1] for curve in curves)
    grid = np.linspace(start, max(start, end), POINTS)
    means = np.stack([np.interp(grid, curve.env_steps, curve.mean) for curve in curves])
    levels = [curve.level for curve in curves if curve.level is not None]
    return Curve(
        curves[0].experiment,
        len(curves),
        f"{curves[0].experiment} ({len(curves)} runs)",
        curves[0].protocol,
        grid,
        means.mean(axis=0),
        means.min(axis=0),
        means.max(axis=0),
        np.concatenate([curve.evaluated_steps for curve in curves]),
        np.concatenate([curve.evaluated_means for curve in curves]),
        levels[-1] if levels else None,
    )


def _experiment(run: Path) -> str:
    """The name that the run itself has; its folder may have been renamed."""
    try:
        return str(json.loads((run / "run.json").read_bytes())["experiment"])
    except (OSError, ValueError, KeyError, TypeError):
        return run.absolute().parent.name


def _protocol(run: Path) -> str:
    path = run / "experiment.toml"
    if not path.is_file():
        return ""
    try:
        table = read_document(path).get("environment", {})
        atari = validated(EnvironmentConfig, table, "environment").atari
    except ConfigError:
        return ""  # Perhaps from another tinyqueue version; its curve can be drawn all the same.
    return atari.brief if atari else ""


def _grouped(steps: Array, returns: Array, points: int) -> tuple[Array, Array, Array, Array]:
    span = max(float(steps.max()), 1.0)
    group = np.minimum((steps / span * points).astype(np.int64), points - 1)
    order = np.argsort(group, kind="stable")
    steps, returns, group = steps[order], returns[order], group[order]
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    sizes = np.diff(np.append(starts, len(group)))
    return (
        np.add.reduceat(steps, starts) / sizes,
        np.add.reduceat(returns, starts) / sizes,
        np.minimum.reduceat(returns, starts),
        np.maximum.reduceat(returns, starts),
    )
