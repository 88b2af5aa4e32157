"""What actor-critics on the stream share: settings, policy and values, terms of a loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from tinyqueue.algorithms.optimisers import OptimiserName
from tinyqueue.algorithms.ranges import CountOrNone, NotNegative, Positive, Share
from tinyqueue.algorithms.session_updates import SessionUpdates, SessionUpdatesConfig
from tinyqueue.algorithms.trajectories import Rows, Trajectories, TrajectoryLayout
from tinyqueue.data.spaces import Space
from tinyqueue.distributions import Factored, Tensor
from tinyqueue.models.network import Network, Output
from tinyqueue.models.tensors import require


@dataclass(frozen=True)
class StreamConfig:
    """Hyper-parameters of ``impala``, ``a3c`` and ``ppo``, with ``impala``'s defaults."""

    gamma: Share = 0.98
    """Discount per env step. SB3's zoo for CartPole; IMPALA on Atari 0.99."""
    learning_rate: NotNegative = 3e-4
    """Step size of the optimiser. 6e-4 is twice as fast on CartPole at a lag of 3, but fails at a
    lag of 8 (measured). IMPALA on Atari 6e-4."""
    learning_rate_end: NotNegative = 0.0
    """Final learning rate, reached linearly over ``anneal_steps``. IMPALA: 0."""
    anneal_steps: CountOrNone = 0
    """Env steps until then; 0 keeps the learning rate constant. IMPALA: the whole run."""
    optimiser: OptimiserName = "adam"
    """RMSProp has decay 0.99 and no momentum, as in IMPALA; Adam β 0.9 and 0.999."""
    epsilon: Positive = 1e-8
    """ε of the optimiser. Adam's paper 1e-8; IMPALA's RMSProp 0.01 (scalable_agent 0.1)."""
    max_grad_norm: Positive = 0.5
    """Clip of the gradient's global norm. PPO's 0.5 with means; IMPALA 40 with sums."""
    entropy_weight: NotNegative = 0.01
    """c_e in the loss. A3C and IMPALA: 0.01."""
    value_weight: NotNegative = 0.05
    """c_v in the loss; 0.05 goes with normalised advantages. IMPALA: 0.5."""
    lambda_: Share = 1.0
    """λ of the trace. IMPALA: 1."""
    normalise_advantages: bool = True
    """Subtract the mean, divide by the standard deviation over the batch. As PPO; not IMPALA."""
    reward_scale: Positive = 1.0
    """Factor on rewards, after clipping."""
    reward_clip: Positive | None = None
    """Rewards are clipped to ± this. Atari: 1."""


S = TypeVar("S", bound=StreamConfig)


class StreamActorCritic(SessionUpdates[S]):
    """A policy and its value in one network. Every session batch is used in one update.

    A subclass sets ``Config`` and writes ``update`` and ``_learn``, as in ``impala.py``. Beside
    what :class:`SessionUpdates` gives it, it has ``_policy``: the distribution of actions, given
    the network's outputs.
    """

    head = "categorical"
    records_entropy = True

    def __init__(self, config: S, network: Network, actions: Space, mask_size: int = 0) -> None:
        super().__init__(config, network, TrajectoryLayout(network, actions, mask_size))
        self._policy = Factored(actions)
        self.acting_outputs = tuple(self._policy.parameters)

    @classmethod
    def outputs(cls, actions: Space, config: S) -> dict[str, Output]:
        """The parameters of the policy's distribution, and ``value``."""
        policy = {
            name: Output(parameter.size, state_independent=parameter.state_independent)
            for name, parameter in Factored(actions).parameters.items()
        }
        return {**policy, "value": Output(1)}

    def _unroll(self, batch: Trajectories[Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """The policy's outputs ``[T, B, …]`` and values ``[T+1, B]``, inside a graph.

        The last row only serves to bootstrap: without its gradient, an update of the Nature
        network at T = 20 takes 4 % less time.
        """
        import tensorflow as tf

        given = self._layout.inputs(batch)

        def rows(part: slice, state: dict[str, Tensor]) -> tuple[dict[str, Tensor], ...]:
            seen, starts, previous = tf.nest.map_structure(
                lambda x: x[part], (given.observations, given.starts, given.previous)
            )
            return self._network.unroll(seen, state, starts, *previous)

        outputs, state = rows(slice(-1), given.state)
        last, _ = rows(slice(-1, None), state)
        values = tf.concat([outputs["value"], tf.stop_gradient(last["value"])], axis=0)
        return self._masked(outputs, tuple(mask[:-1] for mask in batch.masks)), values

    def _acted(self, rows: Rows[Tensor]) -> dict[str, Tensor]:
        """The outputs ``[T, B, …]`` for some of the rows, inside a graph."""
        return self._masked(rows.outputs(self._network), rows.masks)

    def _masked(self, outputs: dict[str, Tensor], masks: Sequence[Tensor]) -> dict[str, Tensor]:
        """Outputs that leave only valid actions, as on players.

        Log-probabilities and entropies are then those of the policy that played.
        """
        from keras import ops

        for mask in masks:
            outputs = self._policy.masked(ops, outputs, mask)
        return outputs


def shaped_rewards(config: SessionUpdatesConfig, rewards: Tensor) -> Tensor:
    """Rewards as the loss sees them: clipped, then scaled."""
    import tensorflow as tf

    if config.reward_clip is not None:
        rewards = tf.clip_by_value(rewards, -config.reward_clip, config.reward_clip)
    return rewards * config.reward_scale


class ValidTicks:
    """Sums and means over the valid ticks of ``[T, B]`` bool; their count is at least 1."""

    def __init__(self, valid: Tensor) -> None:
        import tensorflow as tf

        require((None, None), "bool", valid=valid)
        self.mask = tf.cast(valid, tf.float32)
        self.count = tf.maximum(tf.reduce_sum(self.mask), 1.0)

    def total(self, x: Tensor) -> Tensor:
        """Σ x, a scalar, of x ``[T, B]``."""
        import tensorflow as tf

        return tf.reduce_sum(x * self.mask)

    def mean(self, x: Tensor) -> Tensor:
        """Mean of x ``[T, B]``, a scalar."""
        return self.total(x) / self.count

    def variance(self, x: Tensor) -> Tensor:
        """Variance of x ``[T, B]``, a scalar."""
        apart = x - self.mean(x)
        return self.mean(apart * apart)

    def normalised(self, x: Tensor) -> Tensor:
        """``[T, B]`` with mean 0 and standard deviation 1; 0 on invalid ticks."""
        import tensorflow as tf

        return (x - self.mean(x)) * self.mask / (tf.sqrt(self.variance(x)) + 1e-8)

    def explained_variance(self, targets: Tensor, errors: Tensor) -> Tensor:
        """1 − Var(v − V)/Var(v) of targets v and errors v − V; 0 where v does not vary."""
        import tensorflow as tf

        varies = self.variance(targets)
        explained = 1.0 - self.variance(errors) / tf.maximum(varies, 1e-12)
        return tf.where(varies > 1e-12, explained, 0.0)
