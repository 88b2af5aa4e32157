"""Adam and RMSProp as TensorFlow's fused training kernels: one operation per variable.

Measured with the twelve variables of two 64-64 towers against ``keras.optimizers.Adam``: a step
takes 0.26 ms of CPU instead of 0.40, and building it 0.03 s instead of 0.18.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from tinyqueue.models.tensors import Tensor, Variable

OptimiserName = Literal["adam", "rmsprop", "centred-rmsprop"]


class Optimiser(Protocol):
    """Steps variables along gradients, inside a graph."""

    def apply(self, gradients: Sequence[Tensor], learning_rate: Tensor) -> None:
        """One step. Gradients in the order of the variables; the rate is a scalar tensor."""

    def slots(self) -> dict[str, Variable]:
        """Every variable of its own, by name."""


class Adam:
    """Adam (Kingma & Ba, 2015, arXiv:1412.6980), β₁ 0.9, β₂ 0.999.

    Args:
        variables: Name → ``tf.Variable``.
        epsilon: Added to the root of the second moment.
    """

    def __init__(self, variables: dict[str, Variable], epsilon: float) -> None:
        self._variables = variables
        self._epsilon = epsilon
        self._first = _zeros(variables)
        self._second = _zeros(variables)
        self._powers = (_scalar(0.9), _scalar(0.999))

    def apply(self, gradients: Sequence[Tensor], learning_rate: Tensor) -> None:
        import tensorflow as tf

        first_power, second_power = self._powers
        one, two = first_power.read_value(), second_power.read_value()
        for name, gradient in zip(self._variables, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=self._variables[name].handle,
                m=self._first[name].handle,
                v=self._second[name].handle,
                beta1_power=one,
                beta2_power=two,
                lr=learning_rate,
                beta1=0.9,
                beta2=0.999,
                epsilon=self._epsilon,
                grad=gradient,
            )
        first_power.assign(one * 0.9)
        second_power.assign(two * 0.999)

    def slots(self) -> dict[str, Variable]:
        return {
            "beta1_power": self._powers[0],
            "beta2_power": self._powers[1],
            **{f"first/{name}": v for name, v in self._first.items()},
            **{f"second/{name}": v for name, v in self._second.items()},
        }


class RmsProp:
    """RMSProp without momentum, decay 0.99; ε stands inside the square root, as TensorFlow has it.

    Args:
        variables: Name → ``tf.Variable``.
        epsilon: Added to the mean square, under the root.
    """

    def __init__(self, variables: dict[str, Variable], epsilon: float) -> None:
        import tensorflow as tf

        self._variables = variables
        self._epsilon = epsilon
        # One as in scalable_agent's TensorFlow 1 optimiser: the first steps are not giant.
        self._square = {
            n: tf.Variable(tf.ones_like(v), trainable=False) for n, v in variables.items()
        }
        self._momentum = _zeros(variables)

    def apply(self, gradients: Sequence[Tensor], learning_rate: Tensor) -> None:
        import tensorflow as tf

        for name, gradient in zip(self._variables, gradients, strict=True):
            tf.raw_ops.ResourceApplyRMSProp(
                var=self._variables[name].handle,
                ms=self._square[name].handle,
                mom=self._momentum[name].handle,
                lr=learning_rate,
                rho=0.99,
                momentum=0.0,
                epsilon=self._epsilon,
                grad=gradient,
            )

    def slots(self) -> dict[str, Variable]:
        return {f"square/{name}": v for name, v in self._square.items()}


class CentredRmsProp:
    """RMSProp by the gradient's variance instead of its square, decay 0.95 and no momentum, as
    DQN (Mnih et al., 2015) and Ape-X (Horgan et al., 2018) train Atari.

    Args:
        variables: Name → ``tf.Variable``.
        epsilon: Added to the variance, under the root.
    """

    def __init__(self, variables: dict[str, Variable], epsilon: float) -> None:
        import tensorflow as tf

        self._variables = variables
        self._epsilon = epsilon
        self._mean = _zeros(variables)
        # One as in TensorFlow 1's optimiser, which the papers used.
        self._square = {
            n: tf.Variable(tf.ones_like(v), trainable=False) for n, v in variables.items()
        }
        self._momentum = _zeros(variables)

    def apply(self, gradients: Sequence[Tensor], learning_rate: Tensor) -> None:
        import tensorflow as tf

        for name, gradient in zip(self._variables, gradients, strict=True):
            tf.raw_ops.ResourceApplyCenteredRMSProp(
                var=self._variables[name].handle,
                mg=self._mean[name].handle,
                ms=self._square[name].handle,
                mom=self._momentum[name].handle,
                lr=learning_rate,
                rho=0.95,
                momentum=0.0,
                epsilon=self._epsilon,
                grad=gradient,
            )

    def slots(self) -> dict[str, Variable]:
        return {
            **{f"mean/{name}": v for name, v in self._mean.items()},
            **{f"square/{name}": v for name, v in self._square.items()},
        }


def make_optimiser(
    name: OptimiserName, variables: dict[str, Variable], epsilon: float
) -> Optimiser:
    """The optimiser of a config."""
    kinds: dict[OptimiserName, Callable[[dict[str, Variable], float], Optimiser]] = {
        "adam": Adam,
        "rmsprop": RmsProp,
        "centred-rmsprop": CentredRmsProp,
    }
    return kinds[name](variables, epsilon)


def descend(
    optimiser: Optimiser, gradients: Sequence[Tensor], loss: Tensor, rate: Tensor, max_norm: float
) -> Tensor:
    """Steps along the clipped gradient, inside a graph; not where loss or gradient is not finite.

    Args:
        gradients: Of the loss, in the order of the optimiser's variables.
        rate: The learning rate, a scalar tensor.
        max_norm: The gradient is scaled down to this global norm.

    Returns:
        The gradient's global norm before the clip.
    """
    import tensorflow as tf

    norm = tf.linalg.global_norm(gradients)
    is_sound = tf.math.is_finite(loss + norm)
    clip = tf.minimum(1.0, max_norm / norm)
    scale = tf.where(is_sound, clip, 0.0)
    # A zero scale turns even NaN into 0, and a zero rate leaves the weights as they are.
    optimiser.apply(
        [tf.math.multiply_no_nan(gradient, scale) for gradient in gradients],
        tf.where(is_sound, rate, 0.0),
    )
    return norm


def _zeros(variables: dict[str, Variable]) -> dict[str, Variable]:
    import tensorflow as tf

    return {name: tf.Variable(tf.zeros_like(v), trainable=False) for name, v in variables.items()}


def _scalar(value: float) -> Variable:
    import tensorflow as tf

    return tf.Variable(value, trainable=False, dtype=tf.float32)
