"""Masks: no head takes an action that is not valid, and chances are shared among the others."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tinyqueue.data.spaces import Leaf
from tinyqueue.policy.heads import (
    ENTROPY,
    LOG_PROB,
    Categorical,
    EpsilonGreedy,
    Greedy,
    Head,
    Uniform,
    make_head,
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
    outputs = {name: np.float32([values] * 2) for name in head.outputs}
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
            outputs = {"logits": np.float32([[0, 1, 0.5, 0]] * 2)}
            choices.append([head.act(t, outputs, mask)[""].tolist() for t in range(20)])
        assert choices[0] == choices[1]


PAIR = {"": Leaf("uint8", (2,), n=3, nvec=(2, 3))}
PAIR_MASK = np.array([[False, True, True, False, True], [True, True, False, True, False]])
VALID = [{(1, 0), (1, 2)}, {(0, 1), (1, 1)}]


@pytest.mark.parametrize(
    ("name", "config", "sizes"),
    [
        ("uniform", {}, {}),
        ("epsilon-greedy", {"schedule": "annealed", "start": 1, "end": 1, "steps": 1}, {"q": 6}),
        ("categorical", {}, {"logits": 5}),
    ],
)
def test_entries_of_a_multi_discrete_are_masked_one_by_one(
    name: str, config: dict[str, object], sizes: dict[str, int]
) -> None:
    head = Uniform(PAIR) if name == "uniform" else make_head(name, config, PAIR)
    head.begin(400, 2, np.random.default_rng(4), 0)
    outputs = {output: np.zeros((2, size), np.float32) for output, size in sizes.items()}
    actions = np.stack([head.act(tick, outputs, PAIR_MASK)[""].copy() for tick in range(400)])
    for slot, valid in enumerate(VALID):
        assert set(map(tuple, actions[:, slot].tolist())) == valid


def test_the_best_joint_action_is_a_valid_one() -> None:
    # Joint actions in the order (0, 0), (0, 1), (0, 2), (1, 0), …
    head = Greedy(PAIR, "q")
    q = np.float32([[9, 9, 9, 1, 8, 2], [3, 1, 9, 9, 2, 9]])
    assert head.act(0, {"q": q}, PAIR_MASK)[""].tolist() == [[1, 2], [1, 1]]
