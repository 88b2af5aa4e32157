"""What a replay hands to an algorithm: a batch of transitions, or of sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np

from tinyqueue.data.spaces import Array, Arrays


class _Repeatable:
    """A sample whose items can be put together anew."""

    _first_axis: tuple[str, ...] | None = None
    """Fields with the items on their first axis, not the second; None: all."""

    def repeated(self, items: Sequence[int]) -> Self:
        """A sample of these items of this one, in this order."""
        chosen = np.asarray(items, np.int64)

        def of(name: str, values: Any) -> Any:
            if values is None:
                return None
            if isinstance(values, dict):
                return {path: of(name, array) for path, array in values.items()}
            is_first = self._first_axis is None or name in self._first_axis
            return values.take(chosen, axis=0 if is_first else 1)

        changes = {f.name: of(f.name, getattr(self, f.name)) for f in fields(self)}  # type: ignore[arg-type]
        return replace(self, **changes)  # type: ignore[type-var]


@dataclass(frozen=True)
class TransitionSample(_Repeatable):
    """N transitions with their n-step returns already summed.

    The target of one is ``returns + discounts · bootstrap(next_observations)``.

    Attributes:
        rows: ``[N]`` int64, where each item is held.
        births: ``[N]`` int64, the generation of that row, by which priorities written back for
            items evicted since are recognised.
        observations, next_observations: path → ``[N, *obs]``; with a stack of k > 1 frames
            ``[N, k, *obs]``, oldest first. The next one is m ticks later,
            m = min(n, ticks to the episode's end or to a gap).
        actions: ``[N, *act]``.
        returns: ``[N]`` float32, R = Σ_{i<m} γ^i r_{t+i}.
        discounts: ``[N]`` float32, D = γ^m (1 − terminated). It is not γ^n.
        weights: ``[N]`` float32 importance weights, 1 at most; all 1 when drawn uniformly.
        action_masks, next_action_masks: ``[N, n]`` bool, the valid actions in ``observations`` and
            ``next_observations``; None if the environment has no action masks.
    """

    rows: Array
    births: Array
    observations: Arrays
    actions: Array
    returns: Array
    discounts: Array
    next_observations: Arrays
    weights: Array
    action_masks: Array | None = None
    next_action_masks: Array | None = None


@dataclass(frozen=True)
class SequenceSample(_Repeatable):
    """N sequences of L = burn_in + unroll ticks, time-major, each within one episode.

    The loss is taken at ticks ≥ burn_in where ``mask``.

    Attributes:
        rows, births: ``[N]`` int64, as in a :class:`TransitionSample`.
        observations: path → ``[L+1, N, *obs]``, stacks as in a :class:`TransitionSample`.
            The last row of an episode is its final observation; rows after it repeat it.
        actions: ``[L, N, *act]``.
        rewards: ``[L, N]`` float32, scaled and clipped as planned; 0 outside ``mask``.
        terminated: ``[L, N]`` bool; false outside ``mask``.
        mask: ``[L, N]`` bool, true on played ticks, false on the padding before an episode's
            first tick and after its end.
        starts: ``[L+1, N]`` bool, whether the recurrent state is zeroed before this row.
        previous_actions: ``[L+1, N, *act]``, 0 before an episode's first row.
        previous_rewards: ``[L+1, N]`` float32, as the environment gave them: a network's
            input; 0 before an episode's first row.
        state: path → ``[N, *state]``, the recurrent state before row 0.
        weights: ``[N]`` float32 importance weights, as in a :class:`TransitionSample`.
        action_masks: ``[L+1, N, n]`` bool, the valid actions in ``observations``; None if the
            environment has no action masks.
    """

    _first_axis = ("rows", "births", "state", "weights")

    rows: Array
    births: Array
    observations: Arrays
    actions: Array
    rewards: Array
    terminated: Array
    mask: Array
    starts: Array
    previous_actions: Array
    previous_rewards: Array
    state: Arrays
    weights: Array
    action_masks: Array | None = None
