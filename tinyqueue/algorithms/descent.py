"""What every update has, whatever its loss: optimiser steps at a rate that follows the clock, one
graph per shape of what it is given, and a report.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tinyqueue.algorithms.base import LossNotFiniteError, Update
from tinyqueue.algorithms.optimisers import OptimiserName, descend, make_optimiser
from tinyqueue.data.schedules import Constant, Linear, Schedule
from tinyqueue.data.spaces import Array
from tinyqueue.models.network import Network
from tinyqueue.models.tensors import GradientTape, Tensor, Variable
from tinyqueue.monitor.metrics import Metric


def schedule(start: float, end: float, anneal_steps: int) -> Schedule:
    """From ``start`` to ``end`` over so many env steps; 0 keeps ``start``."""
    return Linear(start, end, anneal_steps) if anneal_steps else Constant(start)


class Descent:
    """Steps a network's trainable variables along clipped gradients.

    Args:
        network: What is trained.
        optimiser: Which one.
        epsilon: The optimiser's.
        max_grad_norm: The gradient is scaled down to this global norm.

    Attributes:
        kept: The variables of network and optimiser, by their names in a checkpoint.
    """

    def __init__(
        self, network: Network, optimiser: OptimiserName, epsilon: float, max_grad_norm: float
    ) -> None:
        trained = dict(network.trainable_variables)
        self._variables = list(trained.values())
        self._optimiser = make_optimiser(optimiser, trained, epsilon)
        self._max_grad_norm = max_grad_norm
        self.kept: dict[str, Variable] = {
            **{f"model/{path}": v for path, v in network.variables.items()},
            **{f"optimiser/{name}": v for name, v in self._optimiser.slots().items()},
        }

    def step(self, tape: GradientTape, loss: Tensor, rate: Tensor) -> Tensor:
        """One step along the gradient of the tape's loss, inside a graph; none where the loss or
        its gradient is not finite.

        Returns:
            The gradient's global norm before the clip.
        """
        gradients = tape.gradient(loss, self._variables)
        return descend(self._optimiser, gradients, loss, rate, self._max_grad_norm)


class Compiled:
    """A function of tensors as graphs, one per set of shapes.

    Args:
        function: Of nested tuples and dicts of tensors, to one tensor.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self._function = function
        self._graphs: dict[tuple[tuple[int, ...], ...], Callable[..., Tensor]] = {}

    def __call__(self, *given: object) -> Array:
        """The function of these arrays, nested as it takes them."""
        import tensorflow as tf

        arrays: list[Array] = tf.nest.flatten(given)
        key = tuple(array.shape for array in arrays)
        if key not in self._graphs:
            self._graphs[key] = self._traced(given, arrays)
        # A third less time than with tf.convert_to_tensor.
        result: Array = self._graphs[key](*(tf.constant(array) for array in arrays)).numpy()
        return result

    def _traced(self, given: object, arrays: Sequence[Array]) -> Callable[..., Tensor]:
        import tensorflow as tf

        def call(*tensors: Tensor) -> Tensor:
            return self._function(*tf.nest.pack_sequence_as(given, tensors))

        signature = [tf.TensorSpec(array.shape, array.dtype) for array in arrays]
        # Called as a concrete function, which saves the lookup among traces at every update.
        function = tf.function(call, input_signature=signature, autograph=False)
        graph: Callable[..., Tensor] = function.get_concrete_function()
        return graph


def sound_update(
    metrics: dict[str, float], rate: float, step: str, priorities: Array | None = None
) -> Update:
    """The update as it is reported.

    Args:
        metrics: With the loss and the gradient's norm.
        rate: The learning rate.
        step: Which step this was, for the error.
        priorities: ``[N]`` of the sampled items; None without a replay.

    Raises:
        LossNotFiniteError: One of the two is not finite.
    """
    loss, norm = metrics[Metric.LOSS], metrics[Metric.GRAD_NORM]
    if not math.isfinite(loss + norm):
        raise LossNotFiniteError(
            f"{step} was not applied: loss {loss}, gradient norm {norm}. Resume from the last "
            "checkpoint with a smaller algorithm.learning_rate, or look for extreme rewards or "
            "observations."
        )
    return Update({**metrics, Metric.LEARNING_RATE: rate}, priorities)
