"""Holds a formula written for any array module against itself, its gradient and its draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyqueue.data.spaces import Array

Formula = Callable[..., Any]


def agreed(formula: Formula, *arrays: Array) -> Array:
    """The formula's value by NumPy, which is asserted to be that by Keras."""
    import tensorflow as tf
    from keras import ops

    expected = np.asarray(formula(np, *arrays))
    tensors = [tf.constant(array) for array in arrays]
    assert expected.dtype == np.float32
    np.testing.assert_allclose(formula(ops, *tensors), expected, rtol=2e-5, atol=2e-5)
    return expected


def assert_same_in_a_graph(formula: Formula, *arrays: Array) -> None:
    """A graph that does not know the first axis gives what NumPy gives."""
    import tensorflow as tf
    from keras import ops

    unknown = [tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in arrays]
    graph = tf.function(lambda *rows: formula(ops, *rows), input_signature=unknown)
    np.testing.assert_allclose(graph(*arrays), formula(np, *arrays), rtol=2e-5, atol=2e-5)


def assert_gradient(formula: Formula, *parameters: Array, fixed: tuple[Array, ...] = ()) -> None:
    """TensorFlow's gradient of Σ formula is that by central differences of NumPy in float64."""
    import tensorflow as tf
    from keras import ops

    tensors = [tf.constant(p, tf.float64) for p in parameters]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        total = tf.reduce_sum(formula(ops, *tensors, *fixed))
    for index, found in enumerate(tape.gradient(total, tensors, unconnected_gradients="zero")):
        expected = np.empty(parameters[index].shape)
        for place in np.ndindex(expected.shape):
            sides = []
            for step in (1e-5, -1e-5):
                moved = [p.astype(np.float64) for p in parameters]
                moved[index][place] += step
                sides.append(np.sum(formula(np, *moved, *fixed)))
            expected[place] = (sides[0] - sides[1]) / 2e-5
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def chi_squared(counts: Array, probabilities: Array) -> float:
    """Pearson's Σ (observed − expected)² / expected."""
    expected = counts.sum() * probabilities
    return float(((counts - expected) ** 2 / expected).sum())


def kolmogorov(draws: Array, distribution: Callable[[float], float]) -> float:
    """√n · sup |F_n − F|: above 1.95 in one of 1,000 samples of the right distribution."""
    ordered = np.sort(draws.ravel())
    steps = np.arange(len(ordered) + 1) / len(ordered)
    wanted = np.array([distribution(float(x)) for x in ordered])
    distance = max((steps[1:] - wanted).max(), (wanted - steps[:-1]).max())
    return float(math.sqrt(len(ordered)) * distance)


def normal(x: float) -> float:
    """The standard normal distribution function."""
    return 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))
