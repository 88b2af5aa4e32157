"""What every update has, whatever its loss.

Optimiser steps at a scheduled rate, one graph per input shape, and a report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tinyqueue.algorithms.base import LossNotFiniteError, Update
from tinyqueue.algorithms.optimisers import OptimiserName, descend, make_optimiser
from tinyqueue.data.schedules import Constant, Linear, Schedule
from tinyqueue.data.spaces import Array
from tinyqueue.distributions import Tensor
from tinyqueue.models.network import Network
from tinyqueue.models.tensors import GradientTape, Operation, Variable
from tinyqueue.monitor.metrics import Metric


def schedule(start: float, end: float, anneal_steps: int) -> Schedule:
    """Linear from ``start`` to ``end`` over ``anneal_steps`` env steps; 0 keeps ``start``."""
    return Linear(start, end, anneal_steps) if anneal_steps else Constant(start)


class Descent:
    """Gradient descent on a network's trainable variables, with clipped gradients.

    Args:
        network: The network to train.
        optimiser: Name of the optimiser.
        epsilon: The optimiser's ε.
        max_grad_norm: Gradients are scaled down to this global norm.

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
        self._stepped = [*self._variables, *self._optimiser.slots().values()]
        self.kept: dict[str, Variable] = {
            **{f"model/{path}": v for path, v in network.variables.items()},
            **{f"optimiser/{name}": v for name, v in self._optimiser.slots().items()},
        }

    def step(self, tape: GradientTape, loss: Tensor, rate: Tensor) -> Tensor:
        """Takes one step, inside a graph; no step where the loss or its gradient is not finite.

        Args:
            tape: The tape that recorded the loss.
            loss: A scalar.
            rate: The learning rate, a scalar.

        Returns:
            The gradient's global norm before clipping.
        """
        gradients = tape.gradient(loss, self._variables)
        return descend(self._optimiser, gradients, loss, rate, self._max_grad_norm)

    def values(self) -> list[Tensor]:
        """The values of all variables that a step changes, inside a graph."""
        return [variable.read_value() for variable in self._stepped]

    def undo_unless(self, is_sound: Tensor, before: Sequence[Tensor]) -> Operation:
        """Takes the steps of a failed update back, inside a graph.

        Args:
            is_sound: A scalar bool: whether every step was taken.
            before: What :meth:`values` returned before the first.
        """
        import tensorflow as tf

        def back() -> Operation:
            pairs = zip(self._stepped, before, strict=True)
            return tf.group(*(variable.assign(value) for variable, value in pairs))

        return tf.cond(is_sound, tf.no_op, back)


class Compiled:
    """A function of tensors, compiled to one graph per set of shapes.

    Args:
        function: Takes nested tuples and dicts of tensors, returns one tensor.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self._function = function
        self._graphs: dict[tuple[tuple[int, ...], ...], Callable[..., Tensor]] = {}

    def __call__(self, *given: object) -> Array:
        """Calls the function with arrays, nested as it expects them."""
        import tensorflow as tf

        arrays: list[Array] = tf.nest.flatten(given)
        key = tuple(array.shape for array in arrays)
        if key not in self._graphs:
            self._graphs[key] = self._traced(given, arrays)
        # Takes a third less time than tf.convert_to_tensor.
        result: Array = self._graphs[key](*(tf.constant(array) for array in arrays)).numpy()
        return result

    def _traced(self, given: object, arrays: Sequence[Array]) -> Callable[..., Tensor]:
        import tensorflow as tf

        def call(*tensors: Tensor) -> Tensor:
            return self._function(*tf.nest.pack_sequence_as(given, tensors))

        signature = [tf.TensorSpec(array.shape, array.dtype) for array in arrays]
        # A concrete function saves the lookup among traces at every update.
        function = tf.function(call, input_signature=signature, autograph=False)
        graph: Callable[..., Tensor] = function.get_concrete_function()
        return graph


def is_finite(loss: float, norm: float) -> bool:
    """Whether a step with this loss and gradient norm can be taken, as a graph decides it."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(np.float32(loss) + np.float32(norm)))


NO_RATE = np.float32(np.nan)
"""A learning rate at which a graph takes no step, but reports loss and gradient as ever."""


def sound_update(
    metrics: dict[str, float], rate: float, step: str, priorities: Array | None = None
) -> Update:
    """The report of an update whose loss and gradient are finite.

    Args:
        metrics: Include the loss and the gradient norm.
        rate: The learning rate.
        step: Which step this was, for the error message.
        priorities: ``[N]`` of the sampled items; None without a prioritised replay.

    Raises:
        LossNotFiniteError: The loss or the gradient norm is not finite.
    """
    loss, norm = metrics[Metric.LOSS], metrics[Metric.GRAD_NORM]
    if not is_finite(loss, norm):
        raise LossNotFiniteError(
            f"{step} was not applied: loss {loss}, gradient norm {norm}. Resume from the last "
            "checkpoint with a smaller algorithm.learning_rate, or look for extreme rewards or "
            "observations."
        )
    return Update({**metrics, Metric.LEARNING_RATE: rate}, priorities)
