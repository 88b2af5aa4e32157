"""What every optimiser step has: its learning rate over time, and its report."""

from __future__ import annotations

import math

from tinyqueue.algorithms.base import LossNotFiniteError, Update
from tinyqueue.data.schedules import Constant, Linear, Schedule
from tinyqueue.data.spaces import Array
from tinyqueue.monitor.metrics import Metric


def schedule(start: float, end: float, anneal_steps: int) -> Schedule:
    """From ``start`` to ``end`` over so many env steps; 0 keeps ``start``."""
    return Linear(start, end, anneal_steps) if anneal_steps else Constant(start)


def sound_update(
    metrics: dict[str, float], rate: float, step: str, priorities: Array | None = None
) -> Update:
    """The update as it is reported.

    Args:
        metrics: With the loss and the gradient's norm.
        rate: The learning rate.
        step: Which step this was, for the error.
        priorities: ``[N]`` of the sampled items; None without a replay.

    Raises:
        LossNotFiniteError: One of the two is not finite.
    """
    loss, norm = metrics[Metric.LOSS], metrics[Metric.GRAD_NORM]
    if not math.isfinite(loss + norm):
        raise LossNotFiniteError(
            f"{step} was not applied: loss {loss}, gradient norm {norm}. Resume from the last "
            "checkpoint with a smaller algorithm.learning_rate, or look for extreme rewards or "
            "observations."
        )
    return Update({**metrics, Metric.LEARNING_RATE: rate}, priorities)
