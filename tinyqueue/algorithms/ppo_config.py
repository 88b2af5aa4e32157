"""Hyper-parameters of ``ppo``. Defaults are CleanRL's, whose 4 × 4 steps suit most small tasks.

Sources: PPO's paper (Schulman et al., 2017, arXiv:1707.06347); CleanRL's ``ppo.py``;
Stable-Baselines3 and the settings for CartPole-v1 of its zoo; Sample Factory (Petrenko et al.,
2020, arXiv:2006.11751), which is asynchronous as the stream is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from tinyqueue.algorithms.ranges import Count, NotNegative, Positive, Share
from tinyqueue.algorithms.stream_config import StreamConfig


@dataclass(frozen=True)
class PpoConfig(StreamConfig):
    """``ppo``: several epochs over every group of session batches."""

    gamma: Share = 0.99
    """Discount per env step. CleanRL and Stable-Baselines3 0.99; the zoo for CartPole 0.98."""
    lambda_: Share = 0.95
    """λ of the advantages. The paper, CleanRL and Stable-Baselines3 0.95; the zoo for CartPole
    0.8."""
    learning_rate: NotNegative = 2.5e-4
    """Step size of the optimiser. The paper for Atari, and CleanRL, 2.5e-4 → 0; Stable-Baselines3
    3e-4; the zoo for CartPole 1e-3 → 0; Sample Factory 1e-4."""
    learning_rate_end: NotNegative = 0.0
    """What it falls to, linearly, over ``anneal_steps``. The paper for Atari: 0."""
    epsilon: Positive = 1e-5
    """Of the optimiser. CleanRL and Stable-Baselines3 1e-5, as OpenAI's baselines had it."""
    entropy_weight: NotNegative = 0.01
    """c_e in the loss. The paper for Atari, and CleanRL, 0.01; Sample Factory 0.003; the zoo for
    CartPole 0."""
    value_weight: NotNegative = 0.5
    """c_v in the loss, of half the squared error. CleanRL 0.5; Stable-Baselines3's 0.5 is of the
    whole squared error, which is 1 here."""
    normalise_advantages: bool = True
    """Subtract mean and divide by deviation over a minibatch. CleanRL and Stable-Baselines3."""

    epochs: Count = 4
    """Times that every tick is trained on. CleanRL 4; Stable-Baselines3 10; the zoo for CartPole
    20; Sample Factory 1."""
    minibatches: Count = 4
    """Optimiser steps per epoch. Each takes whole slots, so it must divide ``session.slots`` ×
    ``learner.batches_per_update``. CleanRL 4; the zoo for CartPole 1."""
    clip: Positive = 0.2
    """ε: an action gains nothing from a ratio beyond 1 ± ε. The paper and CleanRL 0.2; Sample
    Factory, against stale batches, 0.1."""
    clip_end: NotNegative | None = None
    """What it goes to, linearly, over ``anneal_steps``; when absent it stays. The paper for Atari,
    and the zoo for CartPole, 0."""
    max_ratio: Annotated[float, Field(gt=1, allow_inf_nan=False)] = 20.0
    """Ratios beyond this, or below its inverse, are cut before all else and teach the policy
    nothing: however stale a batch is, its loss stays finite. Sample Factory 20."""
    advantages: Literal["gae", "vtrace"] = "gae"
    """``gae`` takes a batch for on-policy. ``vtrace`` corrects traces and value targets for the
    policy lag, as in Sample Factory; it is ``gae`` where there is none."""
    value_clip: Positive | None = None
    """Cut of how far a value may move from that before the update; none without it. CleanRL 0.2;
    Andrychowicz et al., 2021, §3.4, found that it hurts."""
