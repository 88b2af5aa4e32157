"""What an algorithm asks of the replay: which items, in which batches, drawn how."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Prioritisation:
    """Prioritised experience replay (Schaul et al., 2016, arXiv:1511.05952).

    Attributes:
        exponent: α: items are drawn in proportion to priority^α. 0 draws all alike.
        importance: β of the importance weights (N·P)^−β at the first update.
        importance_end: β at ``importance_steps`` updates and after.
        importance_steps: Updates over which β goes there; 0 keeps it at ``importance``.
        floor: Share of the draws that is uniform over all items, so that an item whose
            priority fell to nearly nothing still returns.
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
        n_step: n of the n-step returns. Of a sequence it sets only the first priorities;
            the algorithm makes the targets itself.
        gamma: Discount per env step.
        prioritisation: None draws all items alike.
        burn_in: Ticks at the front of a sequence that only warm the recurrent state up.
        unroll: Ticks of a sequence that are trained on. 0: items are transitions.
        max_priority_weight: η of a sequence's priority, η·max|δ| + (1−η)·mean|δ|.
        rescaled: Recorded Q values are h(Q), so first priorities are made with h and h⁻¹.
        reward_scale: Factor on every reward, after the clip and before n-step sums.
        reward_clip: Rewards are cut to ±this; None leaves them.
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
    def is_sequence(self) -> bool:
        """Whether items are sequences of ``burn_in + unroll`` ticks."""
        return self.unroll > 0
