from __future__ import annotations

import math

import numpy as np
import pytest

from tinyqueue.data.spaces import Leaf
from tinyqueue.errors import ConfigError, UnknownNameError
from tinyqueue.policy.heads import HEADS, LOG_PROB, Categorical, Greedy, make_head, single_discrete

THREE = {"": Leaf("uint8", (), n=3)}


def logits_of(probabilities: list[float], slots: int) -> dict[str, np.ndarray]:
    return {"logits": np.tile(np.log(np.float32(probabilities)), (slots, 1))}


def test_sampled_actions_have_the_softmax_distribution_by_chi_square() -> None:
    # Given a policy that plays 0.5 / 0.2 / 0.2 / 0.1
    probabilities = np.array([0.5, 0.2, 0.2, 0.1])
    ticks, slots = 500, 200
    head = Categorical(Leaf("uint8", (), n=4))
    head.begin(ticks, slots, np.random.default_rng(1))
    # When it acts 100,000 times
    outputs = logits_of(probabilities.tolist(), slots)
    counts = sum(
        (np.bincount(head.act(t, outputs), minlength=4) for t in range(ticks)), np.zeros(4)
    )
    # Then chi-square with 3 degrees of freedom is below its 0.999 quantile
    expected = probabilities * ticks * slots
    assert ((counts - expected) ** 2 / expected).sum() < 16.27


def test_slots_and_ticks_are_drawn_independently() -> None:
    head = Categorical(Leaf("uint8", (), n=2))
    head.begin(2000, 20, np.random.default_rng(2))
    outputs = logits_of([0.5, 0.5], 20)
    actions = np.stack([head.act(t, outputs) for t in range(2000)]).astype(float) - 0.5
    # Correlation of 2,000 fair draws has standard deviation 0.022.
    assert abs(np.corrcoef(actions.T) - np.eye(20)).max() < 0.1
    assert abs((actions[1:] * actions[:-1]).mean()) < 0.01


def test_log_probabilities_are_those_of_the_chosen_actions() -> None:
    # Given logits with shares 1/2, 1/4, 1/4, shifted far from zero
    head = Categorical(THREE[""])
    head.begin(8, 16, np.random.default_rng(3))
    logits = np.tile(np.float32([math.log(2) + 100, 100, 100]), (16, 1))
    actions = np.stack([head.act(t, {"logits": logits}) for t in range(8)])
    recorded = head.recorded()[LOG_PROB]
    assert recorded.shape == (8, 16)
    assert recorded.dtype == np.float32
    assert set(actions.ravel().tolist()) == {0, 1, 2}
    expected = np.where(actions == 0, math.log(0.5), math.log(0.25))
    np.testing.assert_allclose(recorded, expected, atol=1e-5)


def test_log_probabilities_are_never_above_zero_however_sure_the_policy() -> None:
    head = Categorical(THREE[""])
    head.begin(1, 2, np.random.default_rng(0))
    assert head.act(0, {"logits": np.float32([[1e4, 0, 0], [0, 0, 1e4]])}).tolist() == [0, 2]
    assert head.recorded()[LOG_PROB].tolist() == [[0.0, 0.0]]


def test_a_reused_output_buffer_does_not_change_what_was_recorded() -> None:
    head = Categorical(THREE[""])
    head.begin(1, 1, np.random.default_rng(0))
    buffer = np.zeros((1, 3), np.float32)
    head.act(0, {"logits": buffer})
    buffer[:] = 50, 0, 0
    assert head.recorded()[LOG_PROB][0, 0] == pytest.approx(math.log(1 / 3), abs=1e-6)


def test_actions_of_the_last_batch_outlive_the_next_begin() -> None:
    head = Categorical(THREE[""])
    head.begin(1, 64, np.random.default_rng(0))
    first = head.act(0, logits_of([1.0, 1e-9, 1e-9], 64))
    head.begin(1, 64, np.random.default_rng(1))
    head.act(0, logits_of([1e-9, 1e-9, 1.0], 64))
    assert first.tolist() == [0] * 64


def test_the_same_generator_gives_the_same_actions() -> None:
    def play() -> list[int]:
        head = Categorical(THREE[""])
        head.begin(4, 8, np.random.default_rng(7))
        outputs = logits_of([0.3, 0.3, 0.4], 8)
        return [int(a) for t in range(4) for a in head.act(t, outputs)]

    assert play() == play()


def test_greedy_takes_the_first_of_the_largest() -> None:
    head = Greedy(THREE[""])
    head.begin(1, 3, np.random.default_rng(0))
    actions = head.act(0, {"logits": np.float32([[0, 2, 1], [1, 1, 0], [-3, -2, -1]])})
    assert actions.tolist() == [1, 0, 2]
    assert head.recorded() == {}


@pytest.mark.parametrize("name", sorted(HEADS))
def test_every_head_acts_in_the_wire_type(name: str) -> None:
    head = make_head(name, {}, {"": Leaf("uint16", (), n=300)})
    head.begin(1, 2, np.random.default_rng(0))
    logits = np.zeros((2, 300), np.float32)
    logits[:, 299] = 100
    actions = head.act(0, {"logits": logits})
    assert actions.dtype == np.uint16
    assert actions.tolist() == [299, 299]


def test_a_misspelt_head_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="categorical"):
        make_head("categorial", {}, THREE)


def test_a_key_that_the_head_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="epsilon"):
        make_head("greedy", {"epsilon": 0.1}, THREE)


@pytest.mark.parametrize(
    "space",
    [
        {"": Leaf("float32", (2,), low=-1.0, high=1.0)},
        {"": Leaf("uint8", (3,), n=2)},
        {"a": Leaf("uint8", (), n=2), "b": Leaf("uint8", (), n=2)},
    ],
    ids=["box", "vector", "two"],
)
def test_other_action_spaces_are_refused_by_name(space: dict[str, Leaf]) -> None:
    with pytest.raises(ConfigError, match="Discrete"):
        single_discrete(space)
