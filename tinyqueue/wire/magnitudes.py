"""How large the numbers in a session batch may be.

A finite number can be as harmful as NaN: the square of 3e38 is infinite in float32, and so is a
loss that depends on it. The limits are far beyond what environments give, and far below what
overflows. What players send never moves them, or a player could raise them step by step.
"""

from __future__ import annotations

import math

from tinyqueue.data.spaces import Array, Leaf
from tinyqueue.errors import MessageError

BEYOND = 1e4
"""How many times larger than the environment's trial and its space say a number may be. Real
environments exceed their own bounds."""
LEAST_LIMIT = 1e8
"""The lowest limit of a number. A gradient grows with the product of an observation and a value,
and its norm with the square of that: at most 1e32, where float32 ends at 3e38."""
UNBOUNDED = 1e30
"""Bounds of a space from here on mean that there are none, like float32's largest number."""
ADVICE = (
    f"{BEYOND:,.0f} times the largest number in the environment's trial or the bounds of its "
    f"space, and at least {LEAST_LIMIT:g}. Scale it in a wrapper, or give its space bounds"
)
"""On the limit of a leaf."""
MOST_LOG_PROBABILITY = 1e6
"""Magnitude of the log-probability or log-density of an action. Not even a thousand independent
actions, each with the smallest probability that can be drawn, come near."""
MOST_RETURN = 1e30
"""Return of an episode, whatever its rewards may be: the sum of a hundred is finite."""
MOST_SECONDS = 1e9
"""Duration of an episode."""


def limit_of(leaf: Leaf, seen: float = 0.0) -> float:
    """The largest magnitude that is accepted for a leaf that is not discrete.

    Args:
        leaf: The leaf.
        seen: The largest magnitude in the environment's trial.
    """
    bounds = [abs(bound) for bound in (leaf.low, leaf.high) if bound is not None]
    known = [bound for bound in bounds if bound < UNBOUNDED]
    # Not more than an array of float32 can hold: there a larger limit is infinite.
    return min(UNBOUNDED, max(LEAST_LIMIT, BEYOND * max([seen, *known])))


def require_within(name: str, array: Array, limit: float, advice: str = "") -> None:
    """Returns if every number is finite and within ±limit. Small integers always are.

    Args:
        name: What the array is, for the error.
        array: Numbers.
        limit: At least :data:`LEAST_LIMIT` for integers.
        advice: Where the limit comes from, and what to do, for the error.

    Raises:
        MessageError: ``not-finite`` or ``too-far``.
    """
    if not array.size or (array.dtype.kind != "f" and array.dtype.itemsize < 4):
        return
    # NaN reaches both, without an array of its own as with np.isfinite. As floats, since NumPy
    # rounds the limit to the array's dtype, where it may be infinite.
    most, least = float(array.max()), float(array.min())
    is_finite = math.isfinite(most) and math.isfinite(least)
    if is_finite and -limit <= least and most <= limit:
        return
    if not is_finite:
        raise MessageError("not-finite", f"{name} holds NaN or infinity")
    raise MessageError(
        "too-far",
        f"{name} holds {most if most > limit else least:g}, and at most ±{limit:g} is "
        f"accepted{advice and f': {advice}'}",
    )
