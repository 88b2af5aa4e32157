"""What an algorithm requires of the replay: which items, in what batches, and how drawn."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Prioritisation:
    """Prioritised experience replay (Schaul et al., 2016, arXiv:1511.05952).

    Attributes:
        exponent: α: items are drawn in proportion to priority^α. 0 draws uniformly.
        importance: β of the importance weights (N·P)^−β at the first update.
        importance_end: β from ``importance_steps`` updates on.
        importance_steps: Updates over which β changes; 0 keeps it at ``importance``.
        floor: Fraction of draws that is uniform over all items, so that an item with a priority
            near zero is still drawn sometimes.
        epsilon: Added to every |δ|, so that no priority is 0.
    """

    exponent: float
    importance: float
    importance_end: float
    importance_steps: int
    floor: float = 1e-3
    epsilon: float = 1e-6


@dataclass(frozen=True)
class ReplayPlan:
    """The items that an algorithm trains on.

    Attributes:
        batch_size: N, items per sample.
        n_step: n of the n-step returns. For sequences it only sets the initial priorities; the
            algorithm computes the targets itself.
        gamma: Discount per env step.
        prioritisation: None draws uniformly.
        burn_in: Ticks at the front of a sequence that only warm up the recurrent state.
        unroll: Ticks of a sequence that are trained on. 0: items are transitions.
        max_priority_weight: η of a sequence's priority, η·max|δ| + (1−η)·mean|δ|.
        rescaled: Recorded Q values are h(Q), so initial priorities use h and h⁻¹.
        reward_scale: Factor on every reward, after clipping and before n-step sums.
        reward_clip: Rewards are clipped to ±this; None does not clip.
    """

    batch_size: int
    n_step: int
    gamma: float
    prioritisation: Prioritisation | None
    burn_in: int = 0
    unroll: int = 0
    max_priority_weight: float = 0.9
    rescaled: bool = False
    reward_scale: float = 1.0
    reward_clip: float | None = None

    @property
    def reach(self) -> int:
        """Most ticks from an item's first row to its last."""
        return self.burn_in + self.unroll if self.is_sequence else self.n_step

    @property
    def is_sequence(self) -> bool:
        """Whether items are sequences of ``burn_in + unroll`` ticks."""
        return self.unroll > 0
