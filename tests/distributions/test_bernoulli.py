"""Given a Bernoulli distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest
from formulas import agreed, assert_gradient, chi_squared
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tinyqueue.data.spaces import Array
from tinyqueue.distributions import bernoulli, categorical

ROWS = arrays(
    np.float32, array_shapes(min_dims=1, max_dims=3), elements=st.floats(-80, 80, width=32)
)


@settings(deadline=None, max_examples=25)
@given(logits=ROWS, data=st.data())
def test_it_is_the_categorical_distribution_of_two_values(
    logits: Array, data: st.DataObject
) -> None:
    # Given the same as two logits, 0 and l
    pairs = np.stack([np.zeros_like(logits), logits], axis=-1)
    actions = data.draw(arrays(np.int8, logits.shape, elements=st.integers(0, 1)))
    others = data.draw(arrays(np.float32, logits.shape, elements=st.floats(-80, 80, width=32)))
    other_pairs = np.stack([np.zeros_like(others), others], axis=-1)
    # Then every formula says the same, in both modules
    for found, expected in (
        (agreed(bernoulli.log_prob, logits, actions), categorical.log_prob(np, pairs, actions)),
        (agreed(bernoulli.entropy, logits), categorical.entropy(np, pairs)),
        (agreed(bernoulli.kl, logits, others), categorical.kl(np, pairs, other_pairs)),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-5)
    assert (bernoulli.mode(logits) == categorical.mode(pairs)).all()


def test_values_by_hand() -> None:
    logit = np.array([math.log(3)], np.float32)  # p = 3/4
    assert bernoulli.log_prob(np, logit, np.array([1])) == pytest.approx(math.log(0.75))
    assert bernoulli.log_prob(np, logit, np.array([0])) == pytest.approx(math.log(0.25))
    entropy = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert bernoulli.entropy(np, logit) == pytest.approx(entropy)
    # KL(¾ ‖ ½) = log 2 − H
    assert bernoulli.kl(np, logit, np.array([0], np.float32)) == pytest.approx(
        math.log(2) - entropy
    )
    assert bernoulli.mode(np.array([-1, 0, 1], np.float32)).tolist() == [False, False, True]


def test_gradients_are_those_of_finite_differences_at_zero_too() -> None:
    logits, others = np.array([-3.0, 0.0, 0.7, 20.0]), np.array([1.0, 0.0, -0.7, 2.0])
    assert_gradient(bernoulli.log_prob, logits, fixed=(np.array([0, 1, 1, 0]),))
    assert_gradient(bernoulli.entropy, logits)
    assert_gradient(bernoulli.kl, logits, others)


@pytest.mark.parametrize("probability", [0.02, 0.5, 0.9])
def test_draws_are_as_probable_as_told(probability: float) -> None:
    logit = np.array(math.log(probability / (1 - probability)), np.float32)
    noise = bernoulli.noise(np.random.default_rng(3), (40_000,))

    ones = int(bernoulli.draw(logit, noise).sum())

    # One in 1,000 of χ² with 1 degree of freedom is above 10.83.
    counts = np.array([40_000 - ones, ones])
    assert chi_squared(counts, np.array([1 - probability, probability])) < 10.83
