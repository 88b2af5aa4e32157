"""n-step returns (Sutton and Barto, 2018, §7.1) over a window of ticks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinyqueue.data.spaces import Array


class NStep(NamedTuple):
    """The returns that begin at every tick of a window.

    Attributes:
        returns: ``[W, B]`` float64, R = Σ_{i<m} γ^i r_{t+i}.
        discounts: ``[W, B]`` float64, D = γ^m, or 0 where the episode terminated by then.
        steps: ``[W, B]`` int64, m = min(n, ticks to the episode's end, ticks to the
            window's end): row t + m holds the observation to bootstrap from.
        is_whole: ``[W, B]`` bool, whether further ticks would change nothing because m = n or
            the episode ended.
    """

    returns: Array
    discounts: Array
    steps: Array
    is_whole: Array


def n_step(rewards: Array, terminated: Array, ended: Array, n: int, gamma: float) -> NStep:
    """Sums up to n rewards from each tick on, never past an episode's end.

    Args:
        rewards: ``[W, B]``.
        terminated: ``[W, B]`` bool; nothing is bootstrapped after it.
        ended: ``[W, B]`` bool, terminated or truncated.
        n: At least 1.
        gamma: Discount per tick.
    """
    window = len(rewards)
    returns = rewards.astype(np.float64)
    steps = np.ones(rewards.shape, np.int64)
    goes_on = ~ended
    is_over = terminated.copy()
    for offset in range(1, min(n, window)):
        # Rows whose tick t + offset is in the window; the others are left unchanged.
        rows = window - offset
        goes_on[rows:] = False
        now = goes_on[:rows]
        returns[:rows] += now * rewards[offset:] * gamma**offset
        steps[:rows] += now
        is_over[:rows] |= now & terminated[offset:]
        now &= ~ended[offset:]
    last = np.arange(window)[:, None] + steps - 1
    is_whole = (steps == n) | np.take_along_axis(ended, last, axis=0)
    return NStep(returns, gamma**steps * ~is_over, steps, is_whole)
