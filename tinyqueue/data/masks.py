"""Action masks: the actions that an environment allows now, ``[…, n]`` bool.

n is that of a Discrete action space, or the sum over the entries of a MultiDiscrete one.
"""

from __future__ import annotations

import numpy as np

from tinyqueue.data.spaces import Array, Space, described
from tinyqueue.errors import ConfigError

ACTION_MASK = "action_mask"
"""The extra of a batch that holds the mask of every row, ``[T+1, B, n]``."""

_MOST_SHOWN = 80


def mask_counts(actions: Space) -> tuple[int, ...]:
    """Number of values of each entry that a mask covers; a mask's length is their sum.

    Raises:
        ConfigError: The space is not one Discrete leaf, or MultiDiscrete leaf of one axis.
    """
    leaves = list(actions.values())
    leaf = leaves[0]
    is_vector = len(leaf.shape) == 1 and leaf.nvec
    if len(leaves) > 1 or not leaf.is_discrete or (leaf.shape and not is_vector):
        raise ConfigError(
            "environment.action_mask needs a single action space, Discrete or MultiDiscrete with "
            f"one axis; this environment's is {described(actions)}. Remove the key, or wrap the "
            "environment."
        )
    return leaf.counts


def checked_mask(value: object, counts: tuple[int, ...]) -> Array:
    """The mask that an environment gave, as ``[n]`` bool.

    Args:
        value: An array of 0 and 1, or a tuple with one such array per entry.
        counts: From :func:`mask_counts`.

    Raises:
        ValueError: It is anything else, or allows no action; the text completes "the mask …".
    """
    parts = value if isinstance(value, tuple | list) else (value,)
    try:
        flat = np.concatenate([np.asarray(part).ravel() for part in parts])
        is_mask = flat.size == sum(counts) and bool(np.isin(flat, (0, 1)).all())
    except (TypeError, ValueError):
        is_mask = False
    if not is_mask:
        raise ValueError(f"is {_shown(value)}; it should be {sum(counts)} values of 0 or 1")
    mask: Array = flat.astype(bool)
    if not allows_something(mask, counts):
        raise ValueError(f"is {_shown(value)}, which allows no {_lacking(mask, counts)}")
    return mask


def _lacking(mask: Array, counts: tuple[int, ...]) -> str:
    if len(counts) == 1:
        return "action"
    ends = np.cumsum(counts)
    empty = [i for i, part in enumerate(np.split(mask, ends[:-1])) if not part.any()]
    last, first = ends[empty[0]] - 1, ends[empty[0]] - counts[empty[0]]
    return f"value of entry {empty[0]} (its {counts[empty[0]]} are places {first} to {last})"


def allows(mask: Array, actions: Array, counts: tuple[int, ...]) -> Array:
    """``[…]`` bool: whether a ``[…, n]`` mask allows every entry of the action taken.

    Args:
        mask: ``[…, n]`` bool.
        actions: ``[…, *shape]`` integers within their ranges.
        counts: From :func:`mask_counts`.
    """
    starts = np.cumsum((0, *counts[:-1]))
    entries = actions.reshape(*mask.shape[:-1], len(counts)).astype(np.int64) + starts
    return np.asarray(np.take_along_axis(mask, entries, axis=-1).all(axis=-1))


def allows_something(mask: Array, counts: tuple[int, ...]) -> bool:
    """Whether every row of a ``[…, n]`` mask allows at least one value of each entry."""
    starts = np.cumsum((0, *counts[:-1]))
    return bool(np.logical_or.reduceat(mask, starts, axis=-1).all())


def _shown(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
