"""IMPALA (Espeholt et al., 2018, arXiv:1802.01561), and A3C (Mnih et al., 2016, arXiv:1602.01783).

Deviations: advantages may be normalised over the batch; the loss may be a mean. ``a3c`` is
the same stream and loss without the importance correction: what V-trace buys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyqueue.algorithms.actor_critic_loss import METRICS, loss_and_metrics
from tinyqueue.algorithms.base import Update
from tinyqueue.algorithms.impala_config import ActorCriticConfig
from tinyqueue.algorithms.steps import sound_update
from tinyqueue.algorithms.stream_actor_critic import StreamActorCritic
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Space
from tinyqueue.models.network import Network


class Impala(StreamActorCritic):
    """One network with outputs ``logits`` and ``value``, trained on every batch once.

    Args:
        config: Of ``impala`` or ``a3c``.
        network: With the outputs ``logits`` and ``value``.
        actions: One discrete leaf.
    """

    def __init__(self, config: ActorCriticConfig, network: Network, actions: Space) -> None:
        super().__init__(config, network, actions)
        self._config = config

    def update(self, batches: Sequence[SessionBatch], env_steps: int) -> Update:
        arrays = self._arrays(batches)
        numbers = self._run(self._settings(arrays[0].shape[1], env_steps), arrays)
        return sound_update(
            dict(zip(METRICS, numbers, strict=True)),
            self._learning_rate(env_steps),
            f"the update at {env_steps:,} env steps",
        )

    def _settings(self, slots: int, env_steps: int) -> list[Array]:
        return [np.asarray(self._learning_rate(env_steps), np.float32)]

    def _learn(self, settings: Sequence[Any], given: Sequence[Any]) -> Any:
        import tensorflow as tf

        (rate,) = settings
        actions, log_mu, rewards, terminated, valid, *seen = given
        with tf.GradientTape() as tape:
            loss, metrics = loss_and_metrics(
                self._config,
                self._seen(seen, actions, rewards, valid),
                actions=tf.cast(actions, tf.int32),
                log_mu=log_mu,
                rewards=rewards,
                terminated=terminated,
                valid=valid,
            )
        norm = self._descend(tape, loss, rate)
        return tf.stack([loss, norm, *metrics])
