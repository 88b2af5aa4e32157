"""Scalars for TensorBoard."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path


class TensorBoard:
    """Writes event files. Imported late: TensorFlow is there by the time a learner reports.

    Args:
        folder: Of the event files.
    """

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        self._tf = tf
        self._writer = tf.summary.create_file_writer(str(folder))

    def write(self, group: str, numbers: Mapping[str, float], env_steps: int) -> None:
        """One point of every finite number, at a step of the run's clock."""
        with self._writer.as_default(step=env_steps):
            for name, value in numbers.items():
                if math.isfinite(value):
                    self._tf.summary.scalar(f"{group}/{name}", value)

    def close(self) -> None:
        self._writer.close()
