"""Given the tanh of a Gaussian."""

from __future__ import annotations

import math

import numpy as np
import pytest
from formulas import agreed, assert_gradient, kolmogorov, normal
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from keras import ops

from tinyqueue.data.spaces import Array
from tinyqueue.distributions import gaussian, squashed_gaussian

MEANS = arrays(np.float32, (5, 2), elements=st.floats(-2, 2, width=32))
LOG_STDS = arrays(np.float32, (5, 2), elements=st.floats(-1.5, 1, width=32))
ACTIONS = arrays(np.float32, (5, 2), elements=st.floats(-0.96875, 0.96875, width=32))


@settings(deadline=None, max_examples=25)
@given(mean=MEANS, log_std=LOG_STDS, other=MEANS, other_log_std=LOG_STDS, actions=ACTIONS)
def test_numpy_and_keras_agree(
    mean: Array, log_std: Array, other: Array, other_log_std: Array, actions: Array
) -> None:
    agreed(squashed_gaussian.log_prob, mean, log_std, actions)
    agreed(squashed_gaussian.entropy, mean, log_std)
    divergence = agreed(squashed_gaussian.kl, mean, log_std, other, other_log_std)
    expected = gaussian.kl(np, mean, log_std, other, other_log_std)
    np.testing.assert_allclose(divergence, expected)


def test_the_density_by_hand() -> None:
    # tanh of N(0.2, 1.5²) at 0.6, whose inverse is ½ log 4; d tanh⁻¹/dx = 1 / (1 − 0.36)
    z = (0.5 * math.log(4.0) - 0.2) / 1.5
    density = math.exp(-0.5 * z * z) / (1.5 * math.sqrt(2 * math.pi)) / 0.64
    mean, log_std = np.array([0.2]), np.array([math.log(1.5)])
    found = squashed_gaussian.log_prob(np, mean, log_std, np.array([0.6]))
    assert found == pytest.approx(math.log(density))


@pytest.mark.parametrize(
    ("mean", "log_std", "within"),
    [(0.0, -1.0, 1e-4), (0.7, 0.0, 1e-4), (-2.0, 0.0, 1e-4), (1.0, 1.0, 1e-4), (0.0, 2.0, 0.03)],
)
def test_the_entropy_is_the_integral(mean: float, log_std: float, within: float) -> None:
    # Over u, since the density over tanh u has no bound at the ends: dx = (1 − tanh² u) du
    std = math.exp(log_std)
    u = np.linspace(mean - 10 * std, mean + 10 * std, 200_001)
    p = np.exp(-0.5 * ((u - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))
    log_slope = -2.0 * np.logaddexp(u, -u) + 2.0 * math.log(2.0)
    width = u[1] - u[0]
    expected = -(p * (np.log(np.maximum(p, 1e-300)) - log_slope)).sum() * width

    found = squashed_gaussian.entropy(
        np, np.array([mean], np.float32), np.array([log_std], np.float32)
    )

    assert found == pytest.approx(expected, abs=within)


def test_it_integrates_to_one() -> None:
    x = (np.arange(200_000) + 0.5) / 100_000 - 1.0
    log_p = squashed_gaussian.log_prob(np, np.full_like(x, 0.4), np.full_like(x, -0.7), x)
    assert np.exp(log_p).mean() * 2.0 == pytest.approx(1.0, abs=1e-4)


def test_the_ends_have_a_finite_density() -> None:
    mean, log_std = np.zeros((3,), np.float32), np.zeros((3,), np.float32)
    assert np.isfinite(
        agreed(squashed_gaussian.log_prob, mean, log_std, np.array([-1, 0, 1], np.float32))
    ).all()


def test_the_standard_deviation_is_kept_within_bounds() -> None:
    far, most = np.array([-99.0, 99.0], np.float32), np.array([-20.0, 2.0], np.float32)
    mean, actions = np.array([0.0, 0.1], np.float32), np.array([0.0, 0.5], np.float32)
    for formula, more in (
        (squashed_gaussian.log_prob, (actions,)),
        (squashed_gaussian.entropy, ()),
    ):
        assert formula(np, mean, far, *more).tolist() == formula(np, mean, most, *more).tolist()
    noise = np.array([1.0, 1.0], np.float32)
    drawn = squashed_gaussian.draw(mean, far, noise)
    assert drawn.tolist() == squashed_gaussian.draw(mean, most, noise).tolist()


def test_gradients_are_those_of_finite_differences() -> None:
    rng = np.random.default_rng(1)
    mean, log_std, other, other_log_std, actions = rng.normal(size=(5, 3, 2))
    assert_gradient(squashed_gaussian.log_prob, mean, log_std, np.tanh(actions))
    assert_gradient(squashed_gaussian.entropy, mean, log_std)
    assert_gradient(squashed_gaussian.kl, mean, log_std, other, other_log_std)


def test_draws_have_the_distribution_told() -> None:
    noise = squashed_gaussian.noise(np.random.default_rng(3), (20_000,))

    mean, log_std = np.array(0.3, np.float32), np.array(-0.5, np.float32)
    draws = squashed_gaussian.draw(mean, log_std, noise)

    assert np.abs(draws).max() < 1.0
    assert kolmogorov(np.arctanh(draws), lambda u: normal((u - 0.3) / math.exp(-0.5))) < 1.95
    assert np.median(draws) == pytest.approx(squashed_gaussian.mode(mean, log_std), abs=0.02)


@settings(deadline=None, max_examples=25)
@given(mean=MEANS, log_std=LOG_STDS, noise=MEANS)
def test_a_reparametrised_action_is_the_drawn_one_and_has_its_density(
    mean: Array, log_std: Array, noise: Array
) -> None:
    for xp in (np, ops):
        action, density = (
            np.asarray(x) for x in squashed_gaussian.reparametrised(xp, mean, log_std, noise)
        )
        np.testing.assert_allclose(action, squashed_gaussian.draw(mean, log_std, noise), atol=1e-6)
        inside = np.abs(action) < 0.99
        again = squashed_gaussian.log_prob(np, mean, log_std, action)
        np.testing.assert_allclose(density[inside], again[inside], atol=2e-3)


def test_far_out_the_density_keeps_its_precision() -> None:
    # tanh 12 is 1 in float32, so its inverse is lost; log(1 − tanh² u) ≈ 2 log 2 − 2 u
    mean, log_std = np.array([12.0], np.float32), np.array([0.0], np.float32)
    _, density = squashed_gaussian.reparametrised(np, mean, log_std, np.zeros(1, np.float32))
    assert density == pytest.approx(-0.5 * math.log(2 * math.pi) - 2 * math.log(2.0) + 24.0)
