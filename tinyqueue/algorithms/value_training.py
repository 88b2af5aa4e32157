"""What algorithms with Q values share: an optimiser, a target network and its count of updates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinyqueue.algorithms.base import Update
from tinyqueue.algorithms.dqn_config import DqnConfig
from tinyqueue.algorithms.optimisers import descend, make_optimiser
from tinyqueue.algorithms.state import restore_variables, values
from tinyqueue.algorithms.steps import schedule, sound_update
from tinyqueue.data.spaces import Array, Arrays
from tinyqueue.models.network import Network
from tinyqueue.monitor.metrics import Metric

METRICS = (
    Metric.LOSS,
    Metric.GRAD_NORM,
    Metric.Q_MEAN,
    Metric.TARGET_MEAN,
    Metric.TD_ERROR_MEAN,
)
"""What an update reports, in this order."""

Loss = Callable[[Sequence[Any]], tuple[Any, list[Any], Any]]
"""In a graph: tensors → the loss, METRICS after the gradient norm, and priorities ``[N]``."""


class ValueTraining:
    """Steps a network along the gradient of a loss, and copies it into its target in time.

    Args:
        config: Of ``dqn`` or ``r2d2``.
        network: What is trained.
        loss: Of the arrays that an update is given, with :attr:`target` as the target network.
    """

    def __init__(self, config: DqnConfig, network: Network, loss: Loss) -> None:
        import tensorflow as tf

        self._config = config
        self._loss = loss
        self._online = dict(network.variables)
        self._trained = dict(network.trainable_variables)
        self.target = {
            path: tf.Variable(v, trainable=False, name="target") for path, v in self._online.items()
        }
        self._optimiser = make_optimiser(config.optimiser, self._trained, config.epsilon)
        self._learning_rate = schedule(
            config.learning_rate, config.learning_rate_end, config.anneal_steps
        )
        self._updates = 0
        self._updates_kept = tf.Variable(0, trainable=False, dtype=tf.int64)
        self._kept = {
            **{f"model/{path}": v for path, v in self._online.items()},
            **{f"target/{path}": v for path, v in self.target.items()},
            **{f"optimiser/{name}": v for name, v in self._optimiser.slots().items()},
            "updates": self._updates_kept,
        }
        self._steps: dict[tuple[tuple[int, ...], ...], Any] = {}
        self._copy = tf.function(self._copied, input_signature=[], autograph=False)

    def update(self, arrays: Sequence[Array], env_steps: int) -> Update:
        """One optimiser step, with priorities ``[N]``.

        Raises:
            LossNotFiniteError: The weights are as before.
        """
        rate = self._learning_rate(env_steps)
        result = self._step(rate, arrays)
        update = sound_update(
            dict(zip(METRICS, result.tolist(), strict=False)),
            rate,
            f"the update at {env_steps:,} env steps",
            result[len(METRICS) :],
        )
        self._updates += 1
        if self._updates % self._config.target_every_updates == 0:
            self._copy()
        return update

    def prepare(self, arrays: Sequence[Array]) -> None:
        """Builds the graph for arrays of these shapes. State and weights are as before."""
        before = self.state()
        self._step(0.0, arrays)
        self._copy.get_concrete_function()
        self.restore(before)

    def state(self) -> Arrays:
        self._updates_kept.assign(self._updates)
        return values(self._kept)

    def restore(self, state: Arrays) -> None:
        """Raises CheckpointError when it is another model's or another optimiser's."""
        restore_variables(self._kept, state)
        self._updates = int(self._updates_kept.numpy())

    def _step(self, rate: float, arrays: Sequence[Array]) -> Array:
        """Steps once: METRICS, then priorities."""
        import tensorflow as tf

        key = tuple(array.shape for array in arrays)
        if key not in self._steps:
            self._steps[key] = self._traced(arrays)
        # A third less time than with tf.convert_to_tensor.
        given = [tf.constant(array) for array in (np.float32(rate), *arrays)]
        result: Array = self._steps[key](*given).numpy()
        return result

    def _traced(self, arrays: Sequence[Array]) -> Any:
        """The update as a graph for these shapes."""
        import tensorflow as tf

        variables = list(self._trained.values())

        def step(rate: Any, *given: Any) -> Any:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(variables)
                loss, metrics, priorities = self._loss(given)
            gradients = tape.gradient(loss, variables)
            norm = descend(self._optimiser, gradients, loss, rate, self._config.max_grad_norm)
            return tf.concat([tf.stack([loss, norm, *metrics]), priorities], axis=0)

        signature = [tf.TensorSpec((), tf.float32)]
        signature += [tf.TensorSpec(array.shape, array.dtype) for array in arrays]
        # Called as a concrete function, which saves the lookup among traces at every update.
        function = tf.function(step, input_signature=signature, autograph=False)
        return function.get_concrete_function()

    def _copied(self) -> None:
        for path, variable in self.target.items():
            variable.assign(self._online[path])
