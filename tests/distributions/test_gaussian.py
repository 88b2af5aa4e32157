"""Given a Gaussian distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest
from formulas import agreed, assert_gradient, kolmogorov, normal
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tinyqueue.data.spaces import Array
from tinyqueue.distributions import gaussian

MEANS = arrays(np.float32, (5, 2), elements=st.floats(-5, 5, width=32))
LOG_STDS = arrays(np.float32, (5, 2), elements=st.floats(-1.5, 2, width=32))


@settings(deadline=None, max_examples=25)
@given(mean=MEANS, log_std=LOG_STDS, other=MEANS, other_log_std=LOG_STDS, actions=MEANS)
def test_numpy_and_keras_agree(
    mean: Array, log_std: Array, other: Array, other_log_std: Array, actions: Array
) -> None:
    density = agreed(gaussian.log_prob, mean, log_std, actions)
    assert (density <= gaussian.log_prob(np, mean, log_std, mean)).all()
    agreed(gaussian.entropy, mean, log_std)
    assert (agreed(gaussian.kl, mean, log_std, other, other_log_std) >= -1e-4).all()


def test_values_by_hand() -> None:
    mean, log_std = np.array([1.0], np.float32), np.array([math.log(2.0)], np.float32)
    # The density of N(1, 2²) at 3 is exp(−½) / (2 √2π)
    density = math.log(math.exp(-0.5) / (2.0 * math.sqrt(2 * math.pi)))
    assert gaussian.log_prob(np, mean, log_std, np.array([3.0], np.float32)) == pytest.approx(
        density
    )
    # ½ log(2πe σ²)
    assert gaussian.entropy(np, mean, log_std) == pytest.approx(
        0.5 * math.log(2 * math.pi * math.e * 4.0)
    )
    # KL(N(1, 2²) ‖ N(0, 1)) = log(1/2) + (4 + 1)/2 − ½
    zero = np.array([0.0], np.float32)
    assert gaussian.kl(np, mean, log_std, zero, zero) == pytest.approx(-math.log(2) + 2.0)
    assert gaussian.mode(mean, log_std).tolist() == [1.0]


def test_the_density_integrates_to_one_and_gives_its_entropy() -> None:
    x = np.linspace(-12.0, 14.0, 20_001)
    log_p = gaussian.log_prob(np, np.full_like(x, 1.0), np.full_like(x, 0.3), x)
    width = x[1] - x[0]
    assert np.exp(log_p).sum() * width == pytest.approx(1.0, abs=1e-6)
    expected = -(np.exp(log_p) * log_p).sum() * width
    assert gaussian.entropy(np, np.array([1.0]), np.array([0.3])) == pytest.approx(expected)


def test_gradients_are_those_of_finite_differences() -> None:
    rng = np.random.default_rng(1)
    mean, log_std, other, other_log_std, actions = rng.normal(size=(5, 3, 2))
    assert_gradient(gaussian.log_prob, mean, log_std, actions)
    assert_gradient(gaussian.entropy, mean, log_std)
    assert_gradient(gaussian.kl, mean, log_std, other, other_log_std)


def test_draws_have_the_distribution_told() -> None:
    noise = gaussian.noise(np.random.default_rng(3), (20_000,))

    draws = gaussian.draw(np.array(1.5, np.float32), np.array(math.log(0.5), np.float32), noise)

    assert kolmogorov(draws, lambda x: normal((x - 1.5) / 0.5)) < 1.95
