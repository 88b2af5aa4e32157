"""IMPALA (Espeholt et al., 2018, arXiv:1802.01561), and A3C (Mnih et al., 2016, arXiv:1602.01783).

Deviations: advantages may be normalised over the batch; the loss may be a mean. ``a3c`` is
the same stream and loss without the importance correction: what V-trace buys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinyqueue.algorithms.actor_critic_loss import METRICS, loss_and_metrics
from tinyqueue.algorithms.base import LossNotFiniteError, Update
from tinyqueue.algorithms.impala_config import ActorCriticConfig
from tinyqueue.algorithms.optimisers import make_optimiser
from tinyqueue.algorithms.state import restore_variables, values
from tinyqueue.data.schedules import Constant, Linear, Schedule
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Arrays, Space
from tinyqueue.models.network import Network, Output
from tinyqueue.monitor.metrics import Metric
from tinyqueue.policy.heads import LOG_PROB, single_discrete


class Impala:
    """One network with outputs ``logits`` and ``value``, trained on every batch once.

    Args:
        config: Of ``impala`` or ``a3c``.
        network: With the outputs ``logits`` and ``value``.
        actions: One discrete leaf.
    """

    replay = None
    head = "categorical"
    head_config: Mapping[str, Any] = {}
    acting_outputs = ("logits",)

    def __init__(self, config: ActorCriticConfig, network: Network, actions: Space) -> None:
        self._config = config
        self._network = network
        ((self._action_path, leaf),) = actions.items()
        self._action_dtype = leaf.dtype
        self._previous_action = "/".join(["previous_action", *filter(None, actions)])
        self._carried: dict[str, tuple[tuple[int, ...], str]] = {
            f"state/{path}": (shape, "float32") for path, shape in network.state.items()
        }
        """Arrays of a batch's carry that the network needs → shape of one slot's, and type."""
        if network.uses_previous:
            self._carried |= {
                self._previous_action: (leaf.shape, leaf.dtype),
                "previous_reward": ((), "float32"),
            }
        self._variables = list(network.trainable_variables.values())
        self._optimiser = make_optimiser(
            config.optimiser, dict(network.trainable_variables), config.epsilon
        )
        self._learning_rate = _schedule(config)
        self._kept = {
            **{f"model/{path}": v for path, v in network.variables.items()},
            **{f"optimiser/{name}": v for name, v in self._optimiser.slots().items()},
        }
        self._steps: dict[tuple[tuple[int, ...], ...], Any] = {}

    @staticmethod
    def outputs(actions: Space, config: ActorCriticConfig) -> dict[str, Output]:
        """Network outputs.

        Raises:
            ConfigError: The action space is not one discrete leaf.
        """
        return {"logits": Output(single_discrete(actions).n), "value": Output(1)}

    def update(self, batches: Sequence[SessionBatch], env_steps: int) -> Update:
        rate = self._learning_rate(env_steps)
        metrics = self._step(rate, self._arrays(batches))
        loss, norm = metrics[Metric.LOSS], metrics[Metric.GRAD_NORM]
        if not np.isfinite(loss + norm):
            raise LossNotFiniteError(
                f"the update at {env_steps:,} env steps was not applied: loss {loss}, gradient "
                f"norm {norm}. Resume from the last checkpoint with a smaller "
                "algorithm.learning_rate, or look for extreme rewards or observations."
            )
        return Update({**metrics, Metric.LEARNING_RATE: rate})

    def prepare(self, ticks: int, slots: int) -> None:
        kinds = (self._action_dtype, np.float32, np.float32, bool, bool)
        nothing_valid = [np.zeros((ticks, slots), kind) for kind in kinds]
        observations = [
            np.zeros((ticks + 1, slots, *leaf.shape), leaf.dtype)
            for leaf in self._network.observations.values()
        ]
        carried = [np.zeros((1, slots, *shape), kind) for shape, kind in self._carried.values()]
        before = self.state()
        self._step(0.0, [*nothing_valid, *observations, *carried])
        self.restore(before)

    def state(self) -> Arrays:
        return values(self._kept)

    def restore(self, state: Arrays) -> None:
        restore_variables(self._kept, state)

    def _arrays(self, batches: Sequence[SessionBatch]) -> list[Array]:
        """What a step takes, batches side by side: ``[T, B₁+B₂+…]``."""
        columns = [
            [
                batch.actions[self._action_path],
                batch.extras[LOG_PROB],
                batch.rewards,
                batch.terminated,
                batch.valid,
                *(batch.observations[path] for path in self._network.observations),
                *(batch.carry[name][None] for name in self._carried),
            ]
            for batch in batches
        ]
        if len(columns) == 1:
            return columns[0]
        return [np.concatenate(parts, axis=1) for parts in zip(*columns, strict=True)]

    def _step(self, rate: float, arrays: list[Array]) -> dict[str, float]:
        """Steps once and returns METRICS by name."""
        import tensorflow as tf

        key = tuple(array.shape for array in arrays)
        if key not in self._steps:
            self._steps[key] = self._traced(arrays)
        given = [tf.convert_to_tensor(array) for array in (np.float32(rate), *arrays)]
        return dict(zip(METRICS, self._steps[key](*given).numpy().tolist(), strict=True))

    def _traced(self, arrays: list[Array]) -> Any:
        """The update as a graph for these shapes; one per number of batches."""
        import tensorflow as tf

        variables = self._variables

        def step(rate: Any, *given: Any) -> Any:
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
            gradients = tape.gradient(loss, variables)
            norm = tf.linalg.global_norm(gradients)
            is_sound = tf.math.is_finite(loss + norm)
            clip = tf.minimum(1.0, self._config.max_grad_norm / norm)
            scale = tf.where(is_sound, clip, 0.0)
            # A zero scale turns even NaN into 0, and a zero rate leaves the weights as they are.
            self._optimiser.apply(
                [tf.math.multiply_no_nan(gradient, scale) for gradient in gradients],
                tf.where(is_sound, rate, 0.0),
            )
            return tf.stack([loss, norm, *metrics])

        signature = [tf.TensorSpec((), tf.float32)]
        signature += [tf.TensorSpec(array.shape, array.dtype) for array in arrays]
        # Called as a concrete function, which saves the lookup among traces at every update.
        function = tf.function(step, input_signature=signature, autograph=False)
        return function.get_concrete_function()

    def _seen(self, seen: Sequence[Any], actions: Any, rewards: Any, valid: Any) -> tuple[Any, Any]:
        """Logits ``[T+1, B, n]`` and values ``[T+1, B]`` of observations and what is carried.

        An invalid tick leads to the first row of an episode, before which there was nothing.
        """
        import tensorflow as tf

        paths = list(self._network.observations)
        observations = dict(zip(paths, seen, strict=False))
        carried = dict(zip(self._carried, seen[len(paths) :], strict=True))
        if not carried:
            outputs, _ = self._network.unroll(observations, {}, None)
            return outputs["logits"], outputs["value"]
        state = {path: carried[f"state/{path}"][0] for path in self._network.state}
        starts = tf.concat([tf.zeros_like(valid[:1]), ~valid], axis=0)
        previous = [
            tf.concat([carried[name], tf.where(valid, values, tf.zeros_like(values))], axis=0)
            for name, values in ((self._previous_action, actions), ("previous_reward", rewards))
            if name in carried
        ]
        outputs, _ = self._network.unroll(observations, state, starts, *previous)
        return outputs["logits"], outputs["value"]


def _schedule(config: ActorCriticConfig) -> Schedule:
    if config.anneal_steps == 0:
        return Constant(config.learning_rate)
    return Linear(config.learning_rate, config.learning_rate_end, config.anneal_steps)
