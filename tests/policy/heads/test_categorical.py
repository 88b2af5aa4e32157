from __future__ import annotations

import math

import numpy as np
import pytest

from tinyqueue.data.spaces import Leaf
from tinyqueue.policy.heads import ENTROPY, LOG_PROB, Categorical

THREE = {"": Leaf("uint8", (), n=3)}


def logits_of(probabilities: list[float], slots: int) -> dict[str, np.ndarray]:
    return {"logits": np.tile(np.log(np.array(probabilities, np.float32)), (slots, 1))}


def test_sampled_actions_have_the_softmax_distribution_by_chi_square() -> None:
    # Given a policy that plays 0.5 / 0.2 / 0.2 / 0.1
    probabilities = np.array([0.5, 0.2, 0.2, 0.1])
    ticks, slots = 500, 200
    head = Categorical({"": Leaf("uint8", (), n=4)})
    head.begin(ticks, slots, np.random.default_rng(1), 0)
    # When it acts 100,000 times
    outputs = logits_of(probabilities.tolist(), slots)
    counts = sum(
        (np.bincount(head.act(t, outputs)[""], minlength=4) for t in range(ticks)), np.zeros(4)
    )
    # Then chi-square with 3 degrees of freedom is below its 0.999 quantile
    expected = probabilities * ticks * slots
    assert ((counts - expected) ** 2 / expected).sum() < 16.27


def test_slots_and_ticks_are_drawn_independently() -> None:
    head = Categorical({"": Leaf("uint8", (), n=2)})
    head.begin(2000, 20, np.random.default_rng(2), 0)
    outputs = logits_of([0.5, 0.5], 20)
    actions = np.stack([head.act(t, outputs)[""] for t in range(2000)]).astype(float) - 0.5
    # Correlation of 2,000 fair draws has standard deviation 0.022.
    assert abs(np.corrcoef(actions.T) - np.eye(20)).max() < 0.1
    assert abs((actions[1:] * actions[:-1]).mean()) < 0.01


def test_log_probabilities_are_those_of_the_chosen_actions() -> None:
    # Given logits with shares 1/2, 1/4, 1/4, shifted far from zero
    head = Categorical(THREE)
    head.begin(8, 16, np.random.default_rng(3), 0)
    logits = np.tile(np.array([math.log(2) + 100, 100, 100], np.float32), (16, 1))
    actions = np.stack([head.act(t, {"logits": logits})[""] for t in range(8)])
    recorded = head.recorded()[LOG_PROB]
    assert recorded.shape == (8, 16)
    assert recorded.dtype == np.float32
    assert set(actions.ravel().tolist()) == {0, 1, 2}
    expected = np.where(actions == 0, math.log(0.5), math.log(0.25))
    np.testing.assert_allclose(recorded, expected, atol=1e-5)


def test_log_probabilities_are_never_above_zero_however_sure_the_policy() -> None:
    head = Categorical(THREE)
    head.begin(1, 2, np.random.default_rng(0), 0)
    assert head.act(0, {"logits": np.array([[1e4, 0, 0], [0, 0, 1e4]], np.float32)})[
        ""
    ].tolist() == [0, 2]
    assert head.recorded()[LOG_PROB].tolist() == [[0.0, 0.0]]


def test_a_reused_output_buffer_does_not_change_what_was_recorded() -> None:
    head = Categorical(THREE)
    head.begin(1, 1, np.random.default_rng(0), 0)
    buffer = np.zeros((1, 3), np.float32)
    head.act(0, {"logits": buffer})
    buffer[:] = 50, 0, 0
    assert head.recorded()[LOG_PROB][0, 0] == pytest.approx(math.log(1 / 3), abs=1e-6)


def test_actions_of_the_last_batch_outlive_the_next_begin() -> None:
    head = Categorical(THREE)
    head.begin(1, 64, np.random.default_rng(0), 0)
    first = head.act(0, logits_of([1.0, 1e-9, 1e-9], 64))[""]
    head.begin(1, 64, np.random.default_rng(1), 0)
    head.act(0, logits_of([1e-9, 1e-9, 1.0], 64))[""]
    assert first.tolist() == [0] * 64


def test_the_same_generator_gives_the_same_actions() -> None:
    def play() -> list[int]:
        head = Categorical(THREE)
        head.begin(4, 8, np.random.default_rng(7), 0)
        outputs = logits_of([0.3, 0.3, 0.4], 8)
        return [int(a) for t in range(4) for a in head.act(t, outputs)[""]]

    assert play() == play()


def test_entropies_are_those_of_the_probabilities_when_asked_for() -> None:
    # Given shares 1/2, 1/4, 1/4, whose entropy is 1.5 bits, and a sure choice
    head = Categorical(THREE, record_entropy=True)
    head.begin(2, 2, np.random.default_rng(3), 0)
    for tick in range(2):
        head.act(
            tick, {"logits": np.array([[math.log(2) + 100, 100, 100], [1e4, 0, 0]], np.float32)}
        )
    recorded = head.recorded()
    assert recorded.keys() == head.extras.keys() == {LOG_PROB, ENTROPY}
    np.testing.assert_allclose(recorded[ENTROPY], [[1.5 * math.log(2), 0]] * 2, atol=1e-5)
    assert recorded[ENTROPY].dtype == np.float32
    # Then the log-probabilities are as without
    assert recorded[LOG_PROB][:, 1].tolist() == [0.0, 0.0]
    assert set(np.round(recorded[LOG_PROB][:, 0], 4)) <= {np.float32(-0.6931), np.float32(-1.3863)}


def test_nothing_but_the_log_probability_is_recorded_by_default() -> None:
    assert Categorical(THREE).extras.keys() == {LOG_PROB}
