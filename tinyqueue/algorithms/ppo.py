"""PPO (Schulman et al., 2017, arXiv:1707.06347) on the stream of session batches.

Deviations: π_old is the policy that played, taken from the player's own log-probabilities, so a
batch that arrives late starts with ratios other than 1; values before the update come from the
learner's weights, not the player's; ratios are first clipped to 1/20 … 20, as in Sample Factory.
With a recurrent core, minibatches are whole slots.

Sources of the defaults: the paper; CleanRL's ``ppo.py``, whose 4 × 4 steps suit most small tasks;
Stable-Baselines3 and its zoo's settings for CartPole-v1; Sample Factory (Petrenko et al., 2020,
arXiv:2006.11751), which is asynchronous like the stream.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from tinyqueue.algorithms.base import Update
from tinyqueue.algorithms.descent import schedule
from tinyqueue.algorithms.epochs import Epochs, epochs_update, separable, take_steps
from tinyqueue.algorithms.ranges import Count, NotNegative, Positive, Share
from tinyqueue.algorithms.returns import Estimates, vtrace
from tinyqueue.algorithms.stream import StreamActorCritic, StreamConfig, ValidTicks, shaped_rewards
from tinyqueue.algorithms.trajectories import Rows, Trajectories
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Space
from tinyqueue.distributions import Factored, Tensor
from tinyqueue.models.network import Network
from tinyqueue.models.tensors import require
from tinyqueue.monitor.metrics import Metric


@dataclass(frozen=True)
class PpoConfig(StreamConfig):
    """``ppo``: several epochs on the session batches of every update."""

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
    """ε of the optimiser. CleanRL and Stable-Baselines3 1e-5, as in OpenAI's baselines."""
    entropy_weight: NotNegative = 0.01
    """c_e in the loss. The paper for Atari, and CleanRL, 0.01; Sample Factory 0.003; the zoo for
    CartPole 0."""
    value_weight: NotNegative = 0.5
    """c_v in the loss, on half the squared error. CleanRL 0.5; Stable-Baselines3's 0.5 is on the
    whole squared error, which is 1 here."""
    normalise_advantages: bool = True
    """Subtract the mean and divide by the standard deviation over a minibatch. CleanRL and
    Stable-Baselines3."""

    epochs: Count = 4
    """Times that every tick is trained on. CleanRL 4; Stable-Baselines3 10; the zoo for CartPole
    20; Sample Factory 1."""
    minibatches: Count = 4
    """Optimiser steps per epoch; divides the env steps of an update, and with a recurrent core
    its slots. CleanRL 4; the zoo for CartPole 1."""
    clip: Positive = 0.2
    """ε: an action gains nothing from a ratio beyond 1 ± ε. The paper and CleanRL 0.2; Sample
    Factory, against stale batches, 0.1."""
    clip_end: NotNegative | None = None
    """Value that ε reaches, linearly, over ``anneal_steps``; constant when absent. The paper for
    Atari, and the zoo for CartPole, 0."""
    max_ratio: Annotated[float, Field(gt=1, allow_inf_nan=False)] = 20.0
    """Ratios above this, or below its inverse, are clipped first and give the policy no gradient:
    the loss stays finite however stale a batch is. Sample Factory 20."""
    advantages: Literal["gae", "vtrace"] = "gae"
    """``gae`` treats a batch as on-policy. ``vtrace`` corrects traces and value targets for the
    policy lag, as in Sample Factory; without a lag the two are equal."""
    value_clip: Positive | None = None
    """How far a value may move from the value before the update; no clip when absent. CleanRL 0.2;
    Andrychowicz et al., 2021, §3.4, found that it hurts."""


METRICS = (
    Metric.LOSS,
    Metric.GRAD_NORM,
    Metric.POLICY_LOSS,
    Metric.VALUE_LOSS,
    Metric.ENTROPY,
    Metric.MEAN_RHO,
    Metric.CLIP_FRACTION,
    Metric.APPROX_KL,
    Metric.EXPLAINED_VARIANCE,
)
"""Metrics of an update, in this order: means over its minibatches."""


def gae(
    *,
    log_rhos: Tensor,
    rewards: Tensor,
    values: Tensor,
    terminated: Tensor,
    valid: Tensor,
    gamma: float,
    lambda_: float,
) -> Estimates:
    """Generalised advantages (Schulman et al., 2016, arXiv:1506.02438), for stale batches too.

    Arguments are those of :func:`~tinyqueue.algorithms.returns.vtrace`.

    A_t = r_t + γ_t V(x_{t+1}) − V(x_t) + γ_t λ (v_{t+1} − V(x_{t+1})), with v of V-trace at
    ρ̄ = c̄ = 1. With ``log_rhos`` of 0, which treats the batch as on-policy, v_t = V(x_t) + A_t and
    A_t = Σ_k (γλ)^k δ_{t+k}. The ratio of tick t itself belongs to the loss and is not in A_t.
    """
    import tensorflow as tf

    targets, _ = vtrace(
        log_rhos=log_rhos,
        rewards=rewards,
        values=values,
        terminated=terminated,
        valid=valid,
        gamma=gamma,
        lambda_=lambda_,
    )
    values = tf.stop_gradient(values)
    now, after = values[:-1], values[1:]
    discounts = gamma * (1.0 - tf.cast(terminated, tf.float32))
    corrections = tf.concat([targets[1:] - after[:-1], tf.zeros_like(now[:1])], axis=0)
    advantages = rewards + discounts * (after + lambda_ * corrections) - now
    return Estimates(targets, advantages * tf.cast(valid, tf.float32))


class Minibatch(NamedTuple):
    """Some ticks of an update.

    Attributes:
        rows: What was seen and done, ``[T, B]`` each.
        estimates: ``[T, B]`` targets and advantages, estimated before the first step.
        old_values: ``[T, B]`` V before the first step.
    """

    rows: Rows[Tensor]
    estimates: Estimates
    old_values: Tensor


def ppo_loss(
    config: PpoConfig,
    clip: Tensor,
    policy: Factored,
    outputs: Mapping[str, Tensor],
    values: Tensor,
    part: Minibatch,
) -> tuple[Tensor, list[Tensor]]:
    """``mean of −min(ρA, clip(ρ)A) + c_v·½(v − V)² − c_e·H(π)`` over valid ticks, ρ = π/μ.

    Args:
        config: Weights and clips.
        clip: ε, a scalar: clip(ρ) is within 1 ± ε.
        policy: Distribution of actions, given the outputs.
        outputs: ``[T, B, …]`` by name.
        values: ``[T, B]`` V.
        part: What was played.

    Returns:
        The loss, and the :data:`METRICS` that follow the gradient norm.
    """
    import tensorflow as tf
    from keras import ops

    rows, (targets, advantages), old_values = part
    require(tuple(rows.log_mu.shape), "float32", values=values, targets=targets)
    ticks = ValidTicks(rows.valid)
    if config.normalise_advantages:
        advantages = ticks.normalised(advantages)
    most = math.log(config.max_ratio)
    log_pi = policy.log_prob(ops, outputs, rows.actions)
    log_rhos = tf.clip_by_value(log_pi - rows.log_mu, -most, most)
    rhos = tf.exp(log_rhos)
    gains = tf.minimum(
        rhos * advantages, tf.clip_by_value(rhos, 1.0 - clip, 1.0 + clip) * advantages
    )
    policy_loss = -tf.reduce_sum(gains) / ticks.count
    errors = (targets - values) * ticks.mask
    squares = tf.square(errors)
    if config.value_clip is not None:
        moved = tf.clip_by_value(values - old_values, -config.value_clip, config.value_clip)
        squares = tf.maximum(squares, tf.square(targets - old_values - moved) * ticks.mask)
    value_loss = 0.5 * tf.reduce_sum(squares) / ticks.count
    entropy = ticks.mean(policy.entropy(ops, outputs))
    loss = policy_loss + config.value_weight * value_loss - config.entropy_weight * entropy
    return loss, [
        policy_loss,
        value_loss,
        entropy,
        ticks.mean(rhos),
        ticks.mean(tf.cast(tf.abs(rhos - 1.0) > clip, tf.float32)),
        # Schulman's estimator, never below 0: http://joschu.net/blog/kl-approx.html
        ticks.mean(rhos - 1.0 - log_rhos),
        ticks.explained_variance(targets, errors),
    ]


class Ppo(StreamActorCritic[PpoConfig]):
    """``ppo``: a policy and its value, trained several times on every batch."""

    Config = PpoConfig

    def __init__(
        self, config: PpoConfig, network: Network, actions: Space, mask_size: int = 0
    ) -> None:
        super().__init__(config, network, actions, mask_size)
        end = config.clip if config.clip_end is None else config.clip_end
        self._clip = schedule(config.clip, end, config.anneal_steps)
        self._epochs = Epochs(config.epochs, config.minibatches)

    @classmethod
    def check(cls, config: PpoConfig, ticks: int, slots: int) -> None:
        """Rejects a number of minibatches that does not divide the env steps of an update."""
        Epochs(config.epochs, config.minibatches).require_divides(ticks, slots)

    def update(self, batches: Sequence[SessionBatch], env_steps: int) -> Update:
        """All epochs on the batches, in one graph.

        Raises:
            LossNotFiniteError: A step failed. Those before it are taken back.
            ConfigError: The minibatches do not divide the env steps, or with a recurrent core
                the slots.
        """
        numbers = self._run(batches, env_steps)
        rate = self._learning_rate(env_steps)
        return epochs_update(METRICS, numbers, self._epochs.steps, rate, env_steps)

    def _settings(self, ticks: int, slots: int, env_steps: int) -> tuple[Array, ...]:
        count = self._epochs.require_divides(ticks, slots, self._network)
        rates = (self._learning_rate(env_steps), self._clip(env_steps))
        order = self._epochs.order(count, env_steps, self._network.seed)
        return (*(np.asarray(rate, np.float32) for rate in rates), order)

    def _learn(self, settings: tuple[Tensor, ...], batch: Trajectories[Tensor]) -> Tensor:
        rate, clip, order = settings

        def loss_of(part: Minibatch) -> tuple[Tensor, list[Tensor]]:
            outputs = self._acted(part.rows)
            return ppo_loss(self._config, clip, self._policy, outputs, outputs["value"], part)

        whole = separable(self._estimated(batch), self._network)
        return take_steps(self._descent, whole, order, rate, loss_of, len(METRICS) - 2)

    def _estimated(self, batch: Trajectories[Tensor]) -> Minibatch:
        """All ticks, with targets and advantages from the weights before the first step.

        They stay the same through all steps.
        """
        import tensorflow as tf
        from keras import ops

        outputs, values = self._unroll(batch)
        log_rhos = tf.zeros_like(batch.log_mu)
        if self._config.advantages == "vtrace":
            log_rhos = self._policy.log_prob(ops, outputs, batch.actions) - batch.log_mu
        estimates = gae(
            log_rhos=log_rhos,
            rewards=shaped_rewards(self._config, batch.rewards),
            values=values,
            terminated=batch.terminated,
            valid=batch.valid,
            gamma=self._config.gamma,
            lambda_=self._config.lambda_,
        )
        return Minibatch(self._layout.rows(batch), estimates, values[:-1])
