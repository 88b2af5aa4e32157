"""Hyper-parameters of every algorithm that trains on the stream, with ``impala``'s defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tinyqueue.algorithms.ranges import CountOrNone, NotNegative, Positive, Share


@dataclass(frozen=True)
class StreamConfig:
    """What ``impala``, ``a3c`` and ``ppo`` have in common."""

    gamma: Share = 0.98
    """Discount per env step. SB3-zoo's for CartPole; IMPALA on Atari 0.99."""
    learning_rate: NotNegative = 3e-4
    """Step size of the optimiser. 6e-4 is twice as fast on CartPole at a lag of 3,
    and fails at 8 (measured). IMPALA on Atari 6e-4."""
    learning_rate_end: NotNegative = 0.0
    """What it falls to, linearly, over ``anneal_steps``. IMPALA: 0."""
    anneal_steps: CountOrNone = 0
    """Env steps of that fall; 0 keeps the learning rate as it is. IMPALA: the whole run."""
    optimiser: Literal["adam", "rmsprop"] = "adam"
    """RMSProp has decay 0.99 and no momentum, as in IMPALA; Adam β 0.9 and 0.999."""
    epsilon: Positive = 1e-8
    """Of the optimiser. Adam's paper 1e-8; IMPALA's RMSProp 0.01 (scalable_agent 0.1)."""
    max_grad_norm: Positive = 0.5
    """Clip of the gradient's global norm. PPO's 0.5 with means; IMPALA 40 with sums."""
    entropy_weight: NotNegative = 0.01
    """c_e in the loss. A3C and IMPALA: 0.01."""
    value_weight: NotNegative = 0.05
    """c_v in the loss, where the policy's advantages are normalised. IMPALA: 0.5."""
    lambda_: Share = 1.0
    """λ of the trace. IMPALA: 1."""
    normalise_advantages: bool = True
    """Subtract mean and divide by deviation over the batch. PPO's; IMPALA does not."""
    reward_scale: Positive = 1.0
    """Factor on rewards, after the clip."""
    reward_clip: Positive | None = None
    """Rewards beyond ± this are cut off. Atari: 1."""
