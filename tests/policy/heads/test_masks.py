"""Masks: no head takes an action that is not valid, and chances are shared among the others."""

from __future__ import annotations

import math

import numpy as np
import pytest
from formulas import chi_squared

from tinyqueue.data.spaces import Leaf
from tinyqueue.policy.heads import (
    ENTROPY,
    LOG_PROB,
    Categorical,
    EpsilonGreedy,
    Greedy,
    Head,
    Mode,
    Sampling,
    Uniform,
)
from tinyqueue.policy.heads.exploration import Annealed

FOUR = {"": Leaf("uint8", (), n=4)}
TICKS = 5000
MASK = np.array([[True, False, True, False], [False, False, False, True]])


def always(epsilon: float) -> Annealed:
    return Annealed(schedule="annealed", start=epsilon, end=epsilon, steps=1)


def played(head: Head, values: list[float]) -> np.ndarray:
    """``[T, 2]`` actions, where the network always says ``values``."""
    head.begin(TICKS, 2, np.random.default_rng(4), 0)
    outputs = {name: np.array([values] * 2, np.float32) for name in head.outputs}
    return np.stack([head.act(tick, outputs, MASK)[""] for tick in range(TICKS)])


@pytest.mark.parametrize(
    ("head", "share"),
    [
        (Categorical(FOUR), 0.25),
        (Uniform(FOUR), 0.5),
        (EpsilonGreedy(FOUR, always(0.4), "a"), 0.2),
        (Greedy(FOUR, "logits"), 0.0),
    ],
    ids=["categorical", "uniform", "epsilon-greedy", "greedy"],
)
def test_only_valid_actions_are_taken_and_share_the_chances(head: Head, share: float) -> None:
    # Given invalid actions that the network likes best, and odds of 1 : 3 between two valid ones
    actions = played(head, [0.0, 50.0, math.log(3), 60.0])
    assert (actions[:, 1] == 3).all()
    assert set(actions[:, 0].tolist()) <= {0, 2}
    # Then the first is taken with the share of the valid ones alone; 5 σ of 5,000 draws
    assert (actions[:, 0] == 0).mean() == pytest.approx(share, abs=0.036)


PAIR = {"": Leaf("uint8", (2,), n=3, nvec=(2, 3))}
PAIR_MASK = np.array([[False, True, True, False, True], [True, True, False, True, False]])


@pytest.mark.parametrize(
    "head",
    [
        Sampling(PAIR),
        Mode(PAIR),
        Uniform(PAIR),
        EpsilonGreedy(PAIR, always(0.5), "a"),
        Greedy(PAIR, "q"),
    ],
    ids=["sampling", "mode", "uniform", "epsilon-greedy", "greedy"],
)
def test_entries_of_an_action_have_valid_values_each(head: Head) -> None:
    # Given entries of two and three values, and a network that likes them evenly
    head.begin(TICKS, 2, np.random.default_rng(4), 0)
    outputs = {name: np.zeros((2, 6 if name == "q" else 5), np.float32) for name in head.outputs}
    rows = [head.act(tick, outputs, PAIR_MASK)[""] for tick in range(TICKS)]
    actions = np.stack(rows)
    allowed = [{(1, 0), (1, 2)}, {(0, 1), (1, 1)}]
    for slot, every in enumerate(allowed):
        taken = set(map(tuple, actions[:, slot].tolist()))
        assert taken == ({min(every)} if isinstance(head, Mode | Greedy) else every)


def test_random_entries_are_drawn_independently_where_a_mask_allows_all() -> None:
    head = Uniform(PAIR)
    head.begin(TICKS, 2, np.random.default_rng(4), 0)
    everything = np.ones((2, 5), bool)
    actions = np.stack([head.act(tick, {}, everything)[""] for tick in range(TICKS)])
    counts = np.bincount(actions[..., 0].ravel() * 3 + actions[..., 1].ravel(), minlength=6)
    # One in 1,000 of χ² with 5 degrees of freedom is above 20.52.
    assert chi_squared(counts, np.full(6, 1 / 6)) < 20.52


def test_log_probabilities_and_entropy_are_of_the_valid_actions() -> None:
    head = Categorical(FOUR, record_entropy=True)
    actions = played(head, [0.0, 50.0, math.log(3), 60.0])
    recorded = head.recorded()
    expected = np.where(actions[:, 0] == 0, math.log(0.25), math.log(0.75))
    np.testing.assert_allclose(recorded[LOG_PROB][:, 0], expected, atol=1e-5)
    assert (recorded[LOG_PROB][:, 1] == 0).all()
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    np.testing.assert_allclose(recorded[ENTROPY], [[entropy, 0.0]] * TICKS, atol=1e-5)


def test_the_largest_q_is_that_of_a_valid_action() -> None:
    head = EpsilonGreedy(FOUR, always(0.0), "a")
    played(head, [1.0, 9.0, 2.0, 3.0])
    assert np.array_equal(head.recorded()["q_max"], [[2.0, 3.0]] * TICKS)


def test_a_mask_that_allows_everything_changes_no_greedy_choice_and_no_sample() -> None:
    everything = np.ones((2, 4), bool)
    for head in (Categorical(FOUR), Greedy(FOUR, "logits")):
        choices = []
        for mask in (None, everything):
            head.begin(20, 2, np.random.default_rng(4), 0)
            outputs = {"logits": np.array([[0, 1, 0.5, 0]] * 2, np.float32)}
            choices.append([head.act(t, outputs, mask)[""].tolist() for t in range(20)])
        assert choices[0] == choices[1]
