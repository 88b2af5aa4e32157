"""The mean of what a checkpoint expects of a fixed set of states."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tinyqueue.data.episodes import Episodes
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Arrays
from tinyqueue.learner.critic import Critic

VALUE, MAX_Q = "value", "max_q"


@dataclass(frozen=True)
class Expected:
    """What a network expects to get, discounted and as its rewards were scaled in training; h(Q)
    where it was trained on rescaled values.

    Attributes:
        of: ``value`` for V(s), ``max_q`` for the largest Q(s, a) over a.
        mean: Over the states; NaN when any of them has none.
        states: How many: the batch's valid ticks.
    """

    of: str
    mean: float
    states: int

    def __str__(self) -> str:
        """``mean value 0.830 in 4,096 held-out states``."""
        of = {VALUE: "value", MAX_Q: "max Q"}[self.of]
        return f"mean {of} {self.mean:.3f} in {self.states:,} held-out states"


def expected(critic: Critic, batch: SessionBatch) -> Expected:
    """Judges every state of a batch in which an action was decided.

    Slots are judged one after another: the activations of 4,096 frames are gigabytes in a deep
    network, and a slot alone is whole, so that recurrent state goes through all its ticks.

    Args:
        critic: Of the checkpoint.
        batch: T ticks of B slots.
    """
    judged = [critic.judge(_only(slot, batch)) for slot in range(batch.slots)]
    of, name = (VALUE, "value") if "value" in judged[0] else (MAX_Q, "q_max")
    # Not nanmean: a network that says NaN must be seen.
    values = np.concatenate([rows[name] for rows in judged], axis=1)[batch.valid]
    return Expected(of, float(values.mean(dtype=np.float64)), len(values))


def _only(slot: int, batch: SessionBatch) -> SessionBatch:
    """One slot of a batch, ``[T, 1, …]``."""

    def rows(arrays: Arrays) -> Arrays:
        return {name: array[:, slot : slot + 1] for name, array in arrays.items()}

    return replace(
        batch,
        observations=rows(batch.observations),
        actions=rows(batch.actions),
        rewards=batch.rewards[:, slot : slot + 1],
        terminated=batch.terminated[:, slot : slot + 1],
        truncated=batch.truncated[:, slot : slot + 1],
        valid=batch.valid[:, slot : slot + 1],
        extras=rows(batch.extras),
        carry={name: array[slot : slot + 1] for name, array in batch.carry.items()},
        episodes=Episodes.none(),
    )
