"""PQN (Gallici et al., 2024, arXiv:2407.04811): Q(λ) on the stream, no replay, no target network.

What keeps it stable is LayerNorm in every hidden layer: set ``model.layer_norm = true``. Values of
next states come from the learner's weights before the update, as the policy of the players may be
older.

Deviations: λ-returns may be cut where the player explored; with a recurrent core, minibatches are
whole slots. Sources of the defaults: the paper; CleanRL's ``pqn.py`` for classic control and
``pqn_atari_envpool.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from tinyqueue.algorithms.base import HeadConfig, Update
from tinyqueue.algorithms.epochs import Epochs, epochs_update, separable, take_steps
from tinyqueue.algorithms.optimisers import OptimiserName
from tinyqueue.algorithms.q_targets import lambda_targets, state_values, taken
from tinyqueue.algorithms.ranges import Count, CountOrNone, NotNegative, Positive, Share
from tinyqueue.algorithms.session_updates import SessionUpdates
from tinyqueue.algorithms.stream import ValidTicks, shaped_rewards
from tinyqueue.algorithms.trajectories import Rows, Trajectories, TrajectoryLayout
from tinyqueue.data.joint_actions import JointActions
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Space
from tinyqueue.distributions import Tensor
from tinyqueue.models.network import Network, Output
from tinyqueue.monitor.metrics import Metric


@dataclass(frozen=True)
class PqnConfig:
    """``pqn``: several epochs of Q(λ) on the session batches of every update."""

    gamma: Share = 0.99
    """Discount per env step. CleanRL and the paper: 0.99."""
    lambda_: Share = 0.65
    """λ of the returns. CleanRL and the paper on Atari: 0.65."""
    cut: Literal["none", "non-greedy"] = "none"
    """Where a λ-return ends early. ``non-greedy`` ends it before an action that the learner would
    not take (Watkins, 1989); the paper and CleanRL never do."""
    learning_rate: NotNegative = 2.5e-4
    """Step size of the optimiser. CleanRL and the paper on Atari: 2.5e-4 → 0."""
    learning_rate_end: NotNegative = 0.0
    """Final learning rate, reached linearly over ``anneal_steps``. CleanRL: 0."""
    anneal_steps: CountOrNone = 0
    """Env steps until then; 0 keeps the learning rate constant. CleanRL: the whole run."""
    optimiser: OptimiserName = "radam"
    """CleanRL and the paper: RAdam."""
    epsilon: Positive = 1e-8
    """ε of the optimiser. RAdam's paper: 1e-8."""
    max_grad_norm: Positive = 10.0
    """Clip of the gradient's global norm. CleanRL and the paper: 10."""
    epochs: Count = 4
    """Times that every tick is trained on. CleanRL 4; the paper on Atari 2."""
    minibatches: Count = 4
    """Optimiser steps per epoch; divides the env steps of an update, and with a recurrent core
    its slots. CleanRL 4; the paper on Atari 32."""
    dueling: bool = False
    """Q = V + A − mean A (Wang et al., 2016, arXiv:1511.06581)."""
    reward_scale: Positive = 1.0
    """Factor on rewards, after clipping."""
    reward_clip: Positive | None = None
    """Rewards are clipped to ± this. Atari: 1."""
    exploration_start: Share = 1.0
    """Probability ε of a random action at the first env step. CleanRL and the paper: 1."""
    exploration_end: Share = 0.05
    """Final ε. CleanRL 0.05, on Atari 0.01; the paper on Atari 0.001."""
    exploration_steps: Count = 250_000
    """Env steps until then. CleanRL: half of 500,000; on Atari a tenth of 10 million."""


METRICS = (
    Metric.LOSS,
    Metric.GRAD_NORM,
    Metric.Q_MEAN,
    Metric.TARGET_MEAN,
    Metric.TD_ERROR_MEAN,
    Metric.EXPLAINED_VARIANCE,
)
"""Metrics of an update, in this order: means over its minibatches."""


class Minibatch(NamedTuple):
    """Some ticks of an update.

    Attributes:
        rows: What was seen and done, ``[T, B]`` each.
        targets: ``[T, B]`` λ-returns, computed before the first step.
    """

    rows: Rows[Tensor]
    targets: Tensor


def pqn_loss(q: Tensor, actions: Tensor, part: Minibatch) -> tuple[Tensor, list[Tensor]]:
    """``mean of ½(G − Q(x, a))²`` over valid ticks.

    Args:
        q: ``[T, B, n]``.
        actions: ``[T, B]`` integers, the joint actions that were taken.
        part: What was played, with its targets.

    Returns:
        The loss, and the :data:`METRICS` that follow the gradient norm.
    """
    import tensorflow as tf

    ticks = ValidTicks(part.rows.valid)
    chosen = taken(q, actions)
    errors = part.targets - chosen
    return 0.5 * ticks.mean(tf.square(errors)), [
        ticks.mean(chosen),
        ticks.mean(part.targets),
        ticks.mean(tf.abs(errors)),
        ticks.explained_variance(part.targets, errors),
    ]


class Pqn(SessionUpdates[PqnConfig]):
    """``pqn``: a Q network, trained several times on every batch, then done with it."""

    Config = PqnConfig
    head = "epsilon-greedy"
    acting_outputs = ("q",)
    needs_layer_norm = True

    def __init__(
        self, config: PqnConfig, network: Network, actions: Space, mask_size: int = 0
    ) -> None:
        layout = TrajectoryLayout(network, actions, mask_size, has_log_mu=False)
        super().__init__(config, network, layout)
        self._joint = JointActions(actions)
        self._epochs = Epochs(config.epochs, config.minibatches)

    @classmethod
    def outputs(cls, actions: Space, config: PqnConfig) -> dict[str, Output]:
        """``q``, one value per joint action.

        Raises:
            ConfigError: The space is not one Discrete or MultiDiscrete leaf, or has too many
                joint actions.
        """
        return {"q": Output(JointActions(actions).n, dueling=config.dueling)}

    @classmethod
    def check(cls, config: PqnConfig, ticks: int, slots: int) -> None:
        """Rejects a number of minibatches that does not divide the env steps of an update."""
        Epochs(config.epochs, config.minibatches).require_divides(ticks, slots)

    @property
    def head_config(self) -> HeadConfig:
        """ε, annealed over env steps."""
        return {
            "schedule": "annealed",
            "start": self._config.exploration_start,
            "end": self._config.exploration_end,
            "steps": self._config.exploration_steps,
        }

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
        order = self._epochs.order(count, env_steps, self._network.seed)
        return (np.asarray(self._learning_rate(env_steps), np.float32), order)

    def _learn(self, settings: tuple[Tensor, ...], batch: Trajectories[Tensor]) -> Tensor:
        rate, order = settings

        def loss_of(part: Minibatch) -> tuple[Tensor, list[Tensor]]:
            q = part.rows.outputs(self._network)["q"]
            return pqn_loss(q, self._taken(part.rows.actions), part)

        played = Minibatch(self._layout.rows(batch), self._targets(batch))
        whole = separable(played, self._network)
        return take_steps(self._descent, whole, order, rate, loss_of, len(METRICS) - 2)

    def _targets(self, batch: Trajectories[Tensor]) -> Tensor:
        """λ-returns ``[T, B]`` of the weights before the first step."""
        import tensorflow as tf

        q = tf.stop_gradient(self._q(batch))
        values = state_values(q, valid=self._valid(batch))
        is_followed = tf.ones_like(batch.valid)
        if self._config.cut == "non-greedy":
            # No smaller than the maximum: among equal values every action is greedy.
            is_followed = taken(q[:-1], self._taken(batch.actions)) >= values[:-1]
        return lambda_targets(
            rewards=shaped_rewards(self._config, batch.rewards),
            terminated=batch.terminated,
            valid=batch.valid,
            values=values,
            is_followed=is_followed,
            gamma=self._config.gamma,
            lambda_=self._config.lambda_,
        )

    def _q(self, batch: Trajectories[Tensor]) -> Tensor:
        """``[T+1, B, n]`` Q of every row."""
        given = self._layout.inputs(batch)
        outputs, _ = self._network.unroll(
            given.observations, given.state, given.starts, *given.previous
        )
        return outputs["q"]

    def _taken(self, played: dict[str, Tensor]) -> Tensor:
        """``[T, B]`` joint actions."""
        import tensorflow as tf

        actions = played[self._joint.path]
        if not self._joint.is_flattened:
            return actions
        entries = tf.reshape(tf.cast(actions, tf.int32), [*actions.shape[:2], -1])
        return tf.reduce_sum(entries * tf.constant(self._joint.strides, tf.int32), axis=-1)

    def _valid(self, batch: Trajectories[Tensor]) -> Tensor | None:
        """``[T+1, B, n]`` bool, valid joint actions; None without masks."""
        import tensorflow as tf

        for mask in batch.masks:
            return tf.reduce_all(tf.gather(mask, self._joint.places, axis=-1), axis=-1)
        return None
