"""What a run recorded of itself, as columns of numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyqueue.data.spaces import Array
from tinyqueue.errors import NothingRecordedError, RunDirectoryError
from tinyqueue.monitor.metrics import EpisodeColumn, Metric


@dataclass(frozen=True)
class Recorded:
    """The metrics and episodes of a run, in the order of training.

    Attributes:
        columns: ``[N]`` float64 by metric, one entry per line; NaN where a line lacks it.
        episode_steps: ``[E]`` env steps at which each episode was taken in.
        returns: ``[E]`` undiscounted return of each.
    """

    columns: Mapping[str, Array]
    episode_steps: Array
    returns: Array

    def __len__(self) -> int:
        return len(self.columns[Metric.ENV_STEPS])

    @property
    def env_steps(self) -> Array:
        """``[N]`` the clock at each line."""
        return self.columns[Metric.ENV_STEPS]

    def part(self, metric: str, begin: float, end: float) -> Array:
        """The finite values of a metric within a part of the run, by env steps.

        Args:
            metric: Its name; a metric that the run lacks has no values.
            begin, end: Shares of the run, 0 … 1.
        """
        if metric not in self.columns:
            return np.empty(0)
        whole = self.env_steps[-1]
        inside = (self.env_steps >= begin * whole) & (self.env_steps <= end * whole)
        values = self.columns[metric][inside]
        finite: Array = values[np.isfinite(values)]
        return finite

    def returns_within(self, begin: float, end: float) -> Array:
        """Returns of the episodes within a part of the run, as for :meth:`part`."""
        whole = self.env_steps[-1]
        inside = (self.episode_steps >= begin * whole) & (self.episode_steps <= end * whole)
        ended: Array = self.returns[inside]
        return ended


def read_recorded(run: Path) -> Recorded:
    """Reads ``metrics.jsonl`` and ``episodes.jsonl`` of a run directory.

    Raises:
        NothingRecordedError: The run has not recorded anything yet.
        RunDirectoryError: A file cannot be read.
    """
    lines = list(complete_lines(run / "metrics.jsonl"))
    if not lines:
        raise NothingRecordedError(
            run, f"{run} holds no metrics yet: a learner writes a line every few seconds."
        )
    names = sorted({name for line in lines for name in line})
    columns = {name: np.array([line.get(name, np.nan) for line in lines], float) for name in names}
    return Recorded(columns, *read_episodes(run))


def read_episodes(run: Path, info: str | None = None) -> tuple[Array, Array]:
    """``[E]`` env steps and ``[E]`` returns of all training episodes; empty if none has ended.

    Args:
        run: The run directory.
        info: A number of ``metrics.info`` to take instead of the return, where an episode has it.

    Raises:
        RunDirectoryError: A line is damaged.
    """
    steps: list[int] = []
    numbers: list[float] = []
    for line in complete_lines(run / "episodes.jsonl"):
        ended = line[EpisodeColumn.RETURNS]
        if info is not None:
            column = line.get(EpisodeColumn.INFO, {}).get(info, ())
            ended = [value for value in column if value is not None]
        numbers += ended
        steps += [line[EpisodeColumn.ENV_STEPS]] * len(ended)
    return np.array(steps, np.float64), np.array(numbers, np.float64)


def info_names(run: Path) -> list[str]:
    """The numbers of ``metrics.info`` that a run's episodes have, sorted."""
    lines = complete_lines(run / "episodes.jsonl")
    return sorted({name for line in lines for name in line.get(EpisodeColumn.INFO, {})})


def complete_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The complete lines of a file that may still be written to; none if it does not exist.

    Raises:
        RunDirectoryError: A line is damaged.
    """
    if not path.is_file():
        return
    with path.open() as file:
        for number, text in enumerate(file, start=1):
            if not text.endswith("\n"):
                return
            try:
                yield json.loads(text)
            except ValueError as error:
                raise RunDirectoryError(
                    f"{path}, line {number} is damaged ({error}). Remove the line to go on."
                ) from error
