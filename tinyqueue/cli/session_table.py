"""One slot of a session batch as a table: a row per tick."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Arrays
from tinyqueue.policy.heads import ENTROPY, LOG_PROB, Q_MAX, Q_TAKEN

TITLES: Mapping[str, str] = {
    "tick": "tick",
    "episode_step": "step",
    "reward": "reward",
    "action": "action",
    "end": "",
    LOG_PROB: "log μ(a|s)",
    ENTROPY: "entropy",
    Q_TAKEN: "Q(s,a)",
    Q_MAX: "max Q",
    "checkpoint_value": "value now",
    "checkpoint_q_taken": "Q(s,a) now",
    "checkpoint_q_max": "max Q now",
}
"""Column → its title. An extra with another name is its own title."""

_ACTION = "action/"
# Before the path of a part of an action.


def column_title(column: str) -> str:
    """What a person reads above a column: of a part of an action its path."""
    return TITLES.get(column, column.removeprefix(_ACTION))


def tick_rows(
    batch: SessionBatch, slot: int, ticks: range, critic: Arrays | None = None
) -> list[dict[str, Any]]:
    """One row per tick: column name → plain value.

    Args:
        batch: The batch.
        slot: The slot to show.
        ticks: The ticks to show, within the batch.
        critic: A checkpoint's values, name → ``[T, B]``, NaN where there is none.

    Returns:
        ``episode_step`` counts from 0; it is None while it is unknown, and on an autoreset tick,
        which belongs to no episode. ``end`` is ``terminated``, ``truncated``, ``autoreset`` or
        empty. A number that is NaN becomes None.
    """
    steps = _episode_steps(batch, slot)
    numbers = {
        name: values[:, slot] for name, values in batch.extras.items() if values.ndim == 2
    } | {f"checkpoint_{name}": values[:, slot] for name, values in (critic or {}).items()}
    actions = {
        f"{_ACTION}{path}" if path else "action": values[:, slot]
        for path, values in batch.actions.items()
    }
    return [
        {
            "tick": tick,
            "episode_step": steps[tick],
            "reward": batch.rewards[tick, slot].item(),
            **{name: values[tick].tolist() for name, values in actions.items()},
            "end": _end(batch, tick, slot),
            **{name: _number(values[tick].item()) for name, values in numbers.items()},
        }
        for tick in ticks
    ]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _episode_steps(batch: SessionBatch, slot: int) -> list[int | None]:
    carried = batch.carry.get("episode_steps")
    now = None if carried is None else int(carried[slot])
    steps: list[int | None] = []
    for valid in np.asarray(batch.valid[:, slot]).tolist():
        steps.append(now if valid else None)
        now = (None if now is None else now + 1) if valid else 0
    return steps


def _end(batch: SessionBatch, tick: int, slot: int) -> str:
    if not batch.valid[tick, slot]:
        return "autoreset"
    if batch.terminated[tick, slot]:
        return "terminated"
    return "truncated" if batch.truncated[tick, slot] else ""
