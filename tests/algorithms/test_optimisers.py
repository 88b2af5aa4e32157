from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tinyqueue.algorithms.optimisers import OptimiserName, descend, make_optimiser
from tinyqueue.models.keras_import import import_keras

GRADIENTS = [
    np.array([1.0, -2.0], np.float32),
    np.array([3.0, 0.5], np.float32),
    np.array([-1.0, 0.0], np.float32),
]


def test_adam_steps_like_keras() -> None:
    tf, keras = import_keras()
    ours, theirs = tf.Variable([1.0, 1.0]), keras.Variable([1.0, 1.0])
    optimiser = make_optimiser("adam", {"w": ours}, 1e-5)
    reference = keras.optimizers.Adam(0.1, epsilon=1e-5)
    for gradient in GRADIENTS:
        optimiser.apply([tf.constant(gradient)], tf.constant(0.1))
        reference.apply([tf.constant(gradient)], [theirs])
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-5)
    assert abs(ours.numpy() - 1).min() > 0.05


def test_radam_takes_steps_once_the_variance_is_finite() -> None:
    # The paper's algorithm 2, in NumPy, without the steps of plain momentum.
    tf, _ = import_keras()
    rng = np.random.default_rng(0)
    weight, wanted = tf.Variable([1.0, -1.0]), np.array([1.0, -1.0])
    optimiser = make_optimiser("radam", {"w": weight}, 1e-8)
    first = second = np.zeros(2)
    longest = 2 / (1 - 0.999) - 1
    for step in range(1, 60):
        gradient = rng.normal(size=2).astype(np.float32)
        optimiser.apply([tf.constant(gradient)], tf.constant(0.1))
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        length = longest - 2 * step * 0.999**step / (1 - 0.999**step)
        if length > 5:
            scale = (length - 4) * (length - 2) * longest
            scale = math.sqrt(scale / ((longest - 4) * (longest - 2) * length))
            root = np.sqrt(second / (1 - 0.999**step))
            wanted = wanted - 0.1 * scale * first / (1 - 0.9**step) / (root + 1e-8)
        assert (weight.numpy() != [1.0, -1.0]).all() == (step > 5)
        np.testing.assert_allclose(weight.numpy(), wanted, atol=2e-4)


def test_radam_is_adam_in_the_long_run() -> None:
    tf, _ = import_keras()
    weights = [tf.Variable([1.0]), tf.Variable([1.0])]
    adam = make_optimiser("adam", {"w": weights[0]}, 1e-8)
    radam = make_optimiser("radam", {"w": weights[1]}, 1e-8)
    for optimiser in (adam, radam):
        # The power of β₂ after 100,000 steps, which float32 cannot tell from 0.
        optimiser.slots()["beta2_power"].assign(0.0)
        optimiser.apply([tf.constant([0.5])], tf.constant(0.1))
    assert weights[0].numpy()[0] != 1.0
    assert weights[1].numpy() == pytest.approx(weights[0].numpy())


def test_rmsprop_has_epsilon_under_the_root_and_starts_from_one() -> None:
    tf, _ = import_keras()
    weight = tf.Variable([1.0])
    optimiser = make_optimiser("rmsprop", {"w": weight}, 0.1)
    optimiser.apply([tf.constant([2.0])], tf.constant(0.5))
    # Mean square: 0.99·1 + 0.01·2² = 1.03
    first = 1 - 0.5 * 2 / math.sqrt(1.03 + 0.1)
    assert weight.numpy()[0] == pytest.approx(first, abs=1e-6)
    optimiser.apply([tf.constant([-1.0])], tf.constant(0.5))
    # 0.99·1.03 + 0.01·1 = 1.0297
    assert weight.numpy()[0] == pytest.approx(first + 0.5 / math.sqrt(1.0297 + 0.1), abs=1e-6)


def test_centred_rmsprop_divides_by_the_deviation_of_the_gradient() -> None:
    tf, _ = import_keras()
    weight = tf.Variable([1.0])
    optimiser = make_optimiser("centred-rmsprop", {"w": weight}, 0.1)
    optimiser.apply([tf.constant([2.0])], tf.constant(0.5))
    # Mean square: 0.95·1 + 0.05·2² = 1.15; mean: 0.05·2 = 0.1
    first = 1 - 0.5 * 2 / math.sqrt(1.15 - 0.1**2 + 0.1)
    assert weight.numpy()[0] == pytest.approx(first, abs=1e-6)
    optimiser.apply([tf.constant([-1.0])], tf.constant(0.5))
    # 0.95·1.15 + 0.05·1 = 1.1425; 0.95·0.1 − 0.05 = 0.045
    second = first + 0.5 / math.sqrt(1.1425 - 0.045**2 + 0.1)
    assert weight.numpy()[0] == pytest.approx(second, abs=1e-6)


@pytest.mark.parametrize("name", ["adam", "radam", "rmsprop", "centred-rmsprop"])
def test_its_slots_are_all_that_it_remembers(name: OptimiserName) -> None:
    # Given two optimisers, of which the second takes over the slots of the first
    tf, _ = import_keras()
    weights = [tf.Variable([1.0, 1.0]), tf.Variable([1.0, 1.0])]
    first, second = (make_optimiser(name, {"w": w}, 1e-3) for w in weights)
    first.apply([tf.constant(GRADIENTS[0])], tf.constant(0.1))
    weights[1].assign(weights[0])
    for slot, variable in first.slots().items():
        second.slots()[slot].assign(variable)
    # When both go on, they stay equal
    for optimiser in (first, second):
        optimiser.apply([tf.constant(GRADIENTS[1])], tf.constant(0.1))
    np.testing.assert_array_equal(weights[0].numpy(), weights[1].numpy())


@pytest.mark.parametrize(
    ("loss", "gradient", "step", "norm"),
    [
        (1.0, [0.3, 0.4], [0.3, 0.4], 0.5),
        # Beyond the norm of 1 it is scaled down to it.
        (1.0, [3.0, 4.0], [0.6, 0.8], 5.0),
        (math.nan, [0.3, 0.4], [0.0, 0.0], 0.5),
        (1.0, [math.nan, 0.4], [0.0, 0.0], math.nan),
        (1.0, [math.inf, 0.4], [0.0, 0.0], math.inf),
    ],
)
def test_a_step_is_along_the_clipped_gradient_and_only_where_it_is_sound(
    loss: float, gradient: list[float], step: list[float], norm: float
) -> None:
    tf, _ = import_keras()
    weight = tf.Variable([0.0, 0.0])

    class Plain:
        """Gradient descent."""

        def apply(self, gradients: Sequence[Any], learning_rate: Any, is_taken: Any = True) -> None:
            weight.assign_sub(learning_rate * gradients[0])

        def slots(self) -> dict[str, Any]:
            return {}

    told = descend(Plain(), [tf.constant(gradient)], tf.constant(loss), tf.constant(1.0), 1.0)

    np.testing.assert_allclose(weight.numpy(), np.negative(step), atol=1e-6)
    assert told.numpy() == pytest.approx(norm, nan_ok=True)


@pytest.mark.parametrize("name", ["adam", "radam", "rmsprop", "centred-rmsprop"])
@pytest.mark.parametrize(
    ("loss", "gradient", "rate"),
    [
        (math.nan, [1.0, 2.0], 0.1),
        (math.inf, [1.0, 2.0], 0.1),
        (1.0, [math.nan, 2.0], 0.1),
        (1.0, [-math.inf, 2.0], 0.1),
        (1.0, [3e38, 3e38], 0.1),
        (1.0, [1.0, 2.0], math.nan),
    ],
)
def test_a_step_that_is_not_taken_changes_neither_weights_nor_slots(
    name: OptimiserName, loss: float, gradient: list[float], rate: float
) -> None:
    # Given an optimiser whose slots are not those of the beginning
    tf, _ = import_keras()
    weight = tf.Variable([1.0, 1.0])
    optimiser = make_optimiser(name, {"w": weight}, 1e-5)
    for each in GRADIENTS:
        descend(optimiser, [tf.constant(each)], tf.constant(1.0), tf.constant(0.1), 1.0)
    kept = {"weight": weight, **optimiser.slots()}
    before = {path: variable.numpy() for path, variable in kept.items()}
    # When a step has something that is not finite
    descend(optimiser, [tf.constant(gradient)], tf.constant(loss), tf.constant(rate), 1.0)
    # Then all is as before
    for path, variable in kept.items():
        np.testing.assert_array_equal(variable.numpy(), before[path], err_msg=path)


def test_a_gradient_that_hardly_changes_leaves_centred_rmsprop_finite() -> None:
    # Given gradients of one part in ten thousand more or less each time, so that the variance is
    # below the rounding of the square
    tf, _ = import_keras()
    rng = np.random.default_rng(0)
    gradient = tf.Variable(rng.uniform(0.01, 40, 2000).astype(np.float32))
    growth = (1 + rng.uniform(-1e-4, 1e-4, 2000)).astype(np.float32)
    weight = tf.Variable(np.ones(2000, np.float32))
    optimiser = make_optimiser("centred-rmsprop", {"w": weight}, 1.5e-7)

    def steps() -> None:
        for _ in tf.range(1000):
            optimiser.apply([gradient], tf.constant(1e-4))
            gradient.assign(gradient * growth)

    # When there are many
    tf.function(steps)()
    # Then no root was of a negative number
    assert np.isfinite(weight.numpy()).all()
