"""Given a categorical distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest
from formulas import agreed, assert_gradient, chi_squared
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tinyqueue.data.spaces import Array
from tinyqueue.distributions import categorical

ROWS = arrays(
    np.float32, array_shapes(min_dims=2, max_dims=3), elements=st.floats(-30, 30, width=32)
)
HALF_QUARTERS = np.log(np.array([[0.5, 0.25, 0.25]], np.float32))


@settings(deadline=None, max_examples=25)
@given(logits=ROWS, data=st.data())
def test_numpy_and_keras_agree_and_all_probabilities_add_to_one(
    logits: Array, data: st.DataObject
) -> None:
    n = logits.shape[-1]
    actions = data.draw(arrays(np.uint8, logits.shape[:-1], elements=st.integers(0, n - 1)))
    others = data.draw(arrays(np.float32, logits.shape, elements=st.floats(-30, 30, width=32)))

    chosen = agreed(categorical.log_prob, logits, actions)
    every = [categorical.log_prob(np, logits, np.full_like(actions, a)) for a in range(n)]

    assert (chosen <= 0).all()
    np.testing.assert_allclose(np.exp(every).sum(axis=0), 1.0, rtol=1e-5)
    entropy = agreed(categorical.entropy, logits)
    assert (entropy >= -1e-6).all()
    assert (entropy <= math.log(n) + 1e-5).all()
    assert (agreed(categorical.kl, logits, others) >= -1e-4).all()


def test_values_by_hand() -> None:
    logits = HALF_QUARTERS + 7.0
    assert categorical.log_prob(np, logits, np.array([2])) == pytest.approx(
        math.log(0.25), rel=1e-5
    )
    assert categorical.entropy(np, logits) == pytest.approx(1.5 * math.log(2), rel=1e-5)
    # KL(½ ¼ ¼ ‖ ⅓ ⅓ ⅓) = log 3 − H
    even = np.zeros((1, 3), np.float32)
    assert categorical.kl(np, logits, even) == pytest.approx(
        math.log(3) - 1.5 * math.log(2), rel=1e-5
    )
    assert categorical.mode(np.array([[0, 3, 3], [1, 0, -1]], np.float32)).tolist() == [1, 0]


def test_large_logits_do_not_overflow() -> None:
    logits = np.array([[1e30, 0.0], [-1e30, 0.0]], np.float32)
    assert agreed(categorical.log_prob, logits, np.array([0, 1])).tolist() == [0.0, 0.0]
    assert agreed(categorical.entropy, logits).tolist() == [0.0, 0.0]


def test_an_impossible_value_adds_nothing() -> None:
    # Given the same logits with and without a value that is excluded
    logits = np.array([[0.3, -np.inf, -1.2]], np.float32)
    without = logits[:, [0, 2]]
    other = np.array([[0.1, -np.inf, 0.4]], np.float32)
    # Then all but the excluded value's own probability is equal
    for action, same in ((0, 0), (2, 1)):
        found = agreed(categorical.log_prob, logits, np.array([action]))
        assert found == pytest.approx(categorical.log_prob(np, without, np.array([same])))
    assert categorical.log_prob(np, logits, np.array([1])) == -np.inf
    assert agreed(categorical.entropy, logits) == pytest.approx(categorical.entropy(np, without))
    expected = categorical.kl(np, without, other[:, [0, 2]])
    assert agreed(categorical.kl, logits, other) == pytest.approx(expected)
    noise = categorical.noise(np.random.default_rng(0), (1000, 3))
    assert set(categorical.draw(logits, noise).tolist()) == {0, 2}


def test_gradients_are_those_of_finite_differences() -> None:
    logits = np.random.default_rng(1).normal(size=(4, 3))
    others = np.random.default_rng(2).normal(size=(4, 3))
    assert_gradient(categorical.log_prob, logits, fixed=(np.array([0, 2, 1, 1]),))
    assert_gradient(categorical.entropy, logits)
    assert_gradient(categorical.kl, logits, others)


def test_an_impossible_value_leaves_gradients_finite() -> None:
    import tensorflow as tf
    from keras import ops

    logits = tf.constant([[0.3, -np.inf, -1.2]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        total = tf.reduce_sum(
            categorical.log_prob(ops, logits, tf.constant([0]))
            + categorical.entropy(ops, logits)
            + categorical.kl(ops, logits, tf.constant([[0.1, -np.inf, 0.4]]))
        )
    gradient = tape.gradient(total, logits).numpy()
    assert np.isfinite(gradient).all()
    assert gradient[0, 1] == 0.0


def test_draws_are_as_probable_as_told() -> None:
    probabilities = np.array([0.5, 0.3, 0.15, 0.05])
    logits = np.log(probabilities).astype(np.float32)
    noise = categorical.noise(np.random.default_rng(3), (40_000, 4))

    counts = np.bincount(categorical.draw(logits, noise), minlength=4)

    # One in 1,000 of χ² with 3 degrees of freedom is above 16.27.
    assert chi_squared(counts, probabilities) < 16.27
