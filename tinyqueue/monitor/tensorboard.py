"""Writes scalars for TensorBoard."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

RETRY_S = 60.0
"""Time until a new event file is tried after a failure."""

EVERY_S = 2.0
"""Time between two points of a curve, at least."""

POINTS_PER_E_FOLD = 1_000
"""After this many points the time between two grows with the run, so that a day is 4,800 points
of a curve and a month 8,200: some 30 MB for all curves."""

log = structlog.get_logger(__name__)


class TensorBoard:
    """Writes event files, if TensorFlow is installed; an algorithm may do without it.

    If the disk fails, usually because it is full, points are lost and training goes on: they are
    in ``metrics.jsonl`` too. A writer that failed once stays broken, so a new file is started.

    Args:
        folder: The folder of the event files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tf: Any = None
        self._broken_s: float | None = None
        self._wrote_s: float | None = None
        try:
            # With an algorithm that does without it, this is its first import: it warns of itself.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import tensorflow as tf
        except ModuleNotFoundError:
            log.info("no curves for TensorBoard, because TensorFlow is not installed")
            return
        self._tf = tf
        self._writer = tf.summary.create_file_writer(str(folder))

    def write_rarely(
        self, group: str, numbers: Mapping[str, float], env_steps: int, trained_s: float
    ) -> None:
        """As :meth:`write`, at a rate that bounds the size of the files.

        Args:
            group, numbers, env_steps: As of :meth:`write`.
            trained_s: Seconds of training, over all starts of the run.
        """
        every_s = max(EVERY_S, trained_s / POINTS_PER_E_FOLD)
        if self._wrote_s is None or trained_s - self._wrote_s >= every_s:
            self._wrote_s = trained_s
            self.write(group, numbers, env_steps)

    def write(self, group: str, numbers: Mapping[str, float], env_steps: int) -> None:
        """Writes a point for every finite number.

        Args:
            group: Prefix of the names, before a ``/``.
            numbers: Values by name.
            env_steps: The x value of all points.
        """
        if self._broken_s is not None:
            if time.monotonic() - self._broken_s < RETRY_S:
                return
            self._broken_s = None
            self._unless_it_fails(self._begin_anew)

        def scalars() -> None:
            with self._writer.as_default(step=env_steps):
                for name, value in numbers.items():
                    if math.isfinite(value):
                        self._tf.summary.scalar(f"{group}/{name}", value)

        self._unless_it_fails(scalars)

    def close(self) -> None:
        """Closes the event file."""
        self._unless_it_fails(lambda: self._writer.close())

    def _begin_anew(self) -> None:
        self._writer = self._tf.summary.create_file_writer(str(self._folder))

    def _unless_it_fails(self, act: Callable[[], None]) -> None:
        if self._broken_s is not None or self._tf is None:
            return
        try:
            act()
        except self._tf.errors.OpError as error:
            self._broken_s = time.monotonic()
            why = str(error.message).splitlines()[0]
            log.warning("points for TensorBoard are lost", folder=str(self._folder), error=why)
