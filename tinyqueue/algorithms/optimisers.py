"""Adam, RAdam and RMSProp as TensorFlow's fused training kernels: one operation per variable.

Measured against ``keras.optimizers.Adam`` with the twelve variables of two 64-64 towers: a step
takes 0.26 ms of CPU instead of 0.40, and building it takes 0.03 s instead of 0.18.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from tinyqueue.distributions import Tensor
from tinyqueue.models.tensors import Variable

_LEAST_SQUARE = 1.0 + 1e-5
"""Mean square of a gradient as a share of its squared mean, at least; float32 rounds by 1e-7."""

OptimiserName = Literal["adam", "radam", "rmsprop", "centred-rmsprop"]


class Optimiser(Protocol):
    """Updates variables along gradients, inside a graph."""

    def apply(
        self, gradients: Sequence[Tensor], learning_rate: Tensor, is_taken: Tensor | bool = True
    ) -> None:
        """Takes one step.

        Args:
            gradients: In the order of the variables, each of its variable's shape.
            learning_rate: A scalar tensor.
            is_taken: A scalar bool. Where it is false, gradients and rate must be 0, and neither
                variables nor slots change.
        """

    def slots(self) -> dict[str, Variable]:
        """The optimiser's own variables, by name."""


class Adam:
    """Adam (Kingma & Ba, 2015, arXiv:1412.6980), β₁ 0.9, β₂ 0.999.

    Args:
        variables: Name → ``tf.Variable``.
        epsilon: Added to the square root of the second moment.
    """

    def __init__(self, variables: dict[str, Variable], epsilon: float) -> None:
        self._variables = variables
        self._epsilon = epsilon
        self._first = _zeros(variables)
        self._second = _zeros(variables)
        self._powers = (_scalar(0.9), _scalar(0.999))

    def apply(
        self, gradients: Sequence[Tensor], learning_rate: Tensor, is_taken: Tensor | bool = True
    ) -> None:
        """Takes one step with bias correction."""
        import tensorflow as tf

        first_power, second_power = self._powers
        one, two = first_power.read_value(), second_power.read_value()
        learning_rate = self._rectified(learning_rate, two)
        # A decay of 1 keeps a moment as it is: much cheaper than a branch.
        first_decay, second_decay = tf.where(is_taken, 0.9, 1.0), tf.where(is_taken, 0.999, 1.0)
        for name, gradient in zip(self._variables, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=self._variables[name].handle,
                m=self._first[name].handle,
                v=self._second[name].handle,
                beta1_power=one,
                beta2_power=two,
                lr=learning_rate,
                beta1=first_decay,
                beta2=second_decay,
                epsilon=self._epsilon,
                grad=gradient,
            )
        first_power.assign(one * first_decay)
        second_power.assign(two * second_decay)

    def _rectified(self, learning_rate: Tensor, second_power: Tensor) -> Tensor:
        """The rate of step t = 1, 2, 3 and so on; ``second_power`` is β₂ᵗ."""
        return learning_rate

    def slots(self) -> dict[str, Variable]:
        """Both moments of every variable, and the powers of β₁ and β₂."""
        return {
            "beta1_power": self._powers[0],
            "beta2_power": self._powers[1],
            **{f"first/{name}": v for name, v in self._first.items()},
            **{f"second/{name}": v for name, v in self._second.items()},
        }


class RAdam(Adam):
    """Rectified Adam (Liu et al., 2020, arXiv:1908.03265): a warm-up without a setting.

    Steps are scaled by how far the variance of the adaptive rate has settled. In the first five,
    when it is not even finite, only the moments change, as in the authors' own Adam-like variant;
    Torch takes steps of plain momentum.
    """

    def _rectified(self, learning_rate: Tensor, second_power: Tensor) -> Tensor:
        import tensorflow as tf

        # The power tells the step, so that no count is kept. After 100,000 steps float32 has 0 for
        # it, whose logarithm is not finite.
        power = tf.maximum(second_power, 1e-30)
        steps = tf.round(tf.math.log(power) / math.log(0.999))
        longest = 2.0 / (1.0 - 0.999) - 1.0
        length = longest - 2.0 * steps * power / (1.0 - power)
        settled = (length - 4.0) * (length - 2.0) * longest
        scale = tf.sqrt(tf.maximum(settled / ((longest - 4.0) * (longest - 2.0) * length), 0.0))
        return learning_rate * tf.where(length > 5.0, scale, 0.0)


class RmsProp:
    """RMSProp without momentum, decay 0.99; ε is inside the square root, as in TensorFlow.

    Args:
        variables: Name → ``tf.Variable``.
        epsilon: Added to the mean square, inside the square root.
    """

    def __init__(self, variables: dict[str, Variable], epsilon: float) -> None:
        import tensorflow as tf

        self._variables = variables
        self._epsilon = epsilon
        # Starts at 1, as scalable_agent's TensorFlow 1 optimiser does: keeps first steps small.
        self._square = {
            n: tf.Variable(tf.ones_like(v), trainable=False) for n, v in variables.items()
        }
        self._momentum = _zeros(variables)

    def apply(
        self, gradients: Sequence[Tensor], learning_rate: Tensor, is_taken: Tensor | bool = True
    ) -> None:
        """Takes one step, scaled by the mean square of the gradient."""
        import tensorflow as tf

        decay = tf.where(is_taken, 0.99, 1.0)
        for name, gradient in zip(self._variables, gradients, strict=True):
            tf.raw_ops.ResourceApplyRMSProp(
                var=self._variables[name].handle,
                ms=self._square[name].handle,
                mom=self._momentum[name].handle,
                lr=learning_rate,
                rho=decay,
                momentum=0.0,
                epsilon=self._epsilon,
                grad=gradient,
            )

    def slots(self) -> dict[str, Variable]:
        """The mean square of every gradient. The momentum is always 0 and is left out."""
        return {f"square/{name}": v for name, v in self._square.items()}


class CentredRmsProp:
    """RMSProp with the gradient's variance instead of its square.

    Decay 0.95, no momentum, as in DQN (Mnih et al., 2015) and Ape-X (Horgan et al., 2018) on Atari.

    Args:
        variables: Name → ``tf.Variable``.
        epsilon: Added to the variance, inside the square root.
    """

    def __init__(self, variables: dict[str, Variable], epsilon: float) -> None:
        import tensorflow as tf

        self._variables = variables
        self._epsilon = epsilon
        self._mean = _zeros(variables)
        # Starts at 1, as in TensorFlow 1's optimiser, which the papers used.
        self._square = {
            n: tf.Variable(tf.ones_like(v), trainable=False) for n, v in variables.items()
        }
        self._momentum = _zeros(variables)

    def apply(
        self, gradients: Sequence[Tensor], learning_rate: Tensor, is_taken: Tensor | bool = True
    ) -> None:
        """Takes one step, scaled by the variance of the gradient."""
        import tensorflow as tf

        decay = tf.where(is_taken, 0.95, 1.0)
        least = tf.where(is_taken, _LEAST_SQUARE, 0.0)
        for name, gradient in zip(self._variables, gradients, strict=True):
            # Rounding would make the variance of a gradient that hardly changes negative, and the
            # root of that is not a number.
            square = self._square[name]
            square.assign(tf.maximum(square, least * tf.square(self._mean[name])))
            tf.raw_ops.ResourceApplyCenteredRMSProp(
                var=self._variables[name].handle,
                mg=self._mean[name].handle,
                ms=self._square[name].handle,
                mom=self._momentum[name].handle,
                lr=learning_rate,
                rho=decay,
                momentum=0.0,
                epsilon=self._epsilon,
                grad=gradient,
            )

    def slots(self) -> dict[str, Variable]:
        """Mean and mean square of every gradient."""
        return {
            **{f"mean/{name}": v for name, v in self._mean.items()},
            **{f"square/{name}": v for name, v in self._square.items()},
        }


def make_optimiser(
    name: OptimiserName, variables: dict[str, Variable], epsilon: float
) -> Optimiser:
    """Creates the optimiser that a config names.

    Args:
        name: Which optimiser.
        variables: The variables to train, by name.
        epsilon: The optimiser's ε.
    """
    kinds: dict[OptimiserName, Callable[[dict[str, Variable], float], Optimiser]] = {
        "adam": Adam,
        "radam": RAdam,
        "rmsprop": RmsProp,
        "centred-rmsprop": CentredRmsProp,
    }
    return kinds[name](variables, epsilon)


def descend(
    optimiser: Optimiser, gradients: Sequence[Tensor], loss: Tensor, rate: Tensor, max_norm: float
) -> Tensor:
    """Takes a step along the clipped gradient, inside a graph.

    Takes none where the loss, the gradient or the rate is not finite: then no variable and no slot
    of the optimiser changes.

    Args:
        optimiser: The optimiser.
        gradients: Gradients of the loss, in the order of the optimiser's variables.
        loss: A scalar.
        rate: The learning rate, a scalar tensor.
        max_norm: The gradient is scaled down to this global norm.

    Returns:
        The gradient's global norm before clipping.
    """
    import tensorflow as tf

    norm = tf.linalg.global_norm(gradients)
    is_sound = tf.math.is_finite(loss + norm + rate)
    clip = tf.minimum(1.0, max_norm / norm)
    scale = tf.where(is_sound, clip, 0.0)
    # A zero scale turns even NaN into 0, and a zero rate leaves the weights as they are.
    optimiser.apply(
        [tf.math.multiply_no_nan(gradient, scale) for gradient in gradients],
        tf.where(is_sound, rate, 0.0),
        is_sound,
    )
    return norm


def _zeros(variables: dict[str, Variable]) -> dict[str, Variable]:
    import tensorflow as tf

    return {name: tf.Variable(tf.zeros_like(v), trainable=False) for name, v in variables.items()}


def _scalar(value: float) -> Variable:
    import tensorflow as tf

    return tf.Variable(value, trainable=False, dtype=tf.float32)
