"""Given a learner's contract and the session batches that players send."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from contracts import MakeBatch, MakeContract, quiet_batch, refusal, with_value

from tinyqueue.data.spaces import Array, Arrays, Leaf
from tinyqueue.errors import MessageError
from tinyqueue.wire.contract import Extra
from tinyqueue.wire.magnitudes import limit_of, require_within


@pytest.mark.parametrize("seed", range(10))
def test_batches_as_players_make_them_are_taken(
    make_batch: MakeBatch, make_contract: MakeContract, seed: int
) -> None:
    make_contract(32, 8).check(make_batch(32, 8, seed))


def test_a_batch_of_another_experiment_run_or_size_is_refused(
    make_batch: MakeBatch, make_contract: MakeContract
) -> None:
    contract = make_contract()

    assert refusal(contract, make_batch(experiment="pong-impala")) == "experiment"
    assert refusal(contract, make_batch(run="f" * 32)) == "run"
    assert refusal(contract, make_batch(ticks=9)) == "shape"
    assert refusal(contract, make_batch(slots=5)) == "shape"
    assert refusal(contract, make_batch(epsilons=(0.5,))) == "shape"
    contract.check(make_batch(epsilons=(0.5,) * 4))


F32 = np.float32


@pytest.mark.parametrize(
    ("name", "arrays", "reason"),
    [
        ("observations", {}, "missing"),
        ("observations", {"camera": np.zeros((9, 4, 4), F32)}, "missing"),
        ("observations", {"": np.zeros((9, 4, 4), F32), "x": np.zeros((9, 4), F32)}, "unknown"),
        ("observations", {"": np.zeros((8, 4, 4), F32)}, "shape"),
        ("observations", {"": np.zeros((9, 4, 5), F32)}, "shape"),
        ("observations", {"": np.zeros((9, 4), F32)}, "shape"),
        ("observations", {"": np.zeros((9, 4, 4), np.float64)}, "dtype"),
        ("observations", {"": np.zeros((9, 4, 4), np.float16)}, "dtype"),
        ("observations", {"": np.full((9, 4, 4), np.nan, F32)}, "not-finite"),
        ("observations", {"": np.full((9, 4, 4), -np.inf, F32)}, "not-finite"),
        ("actions", {"": np.full((8, 4), 2, np.uint8)}, "range"),
        ("actions", {"": np.zeros((8, 4), np.int8)}, "dtype"),
        ("actions", {"": np.zeros((8, 4, 1), np.uint8)}, "shape"),
        ("actions", {"": np.zeros((9, 4), np.uint8)}, "shape"),
        ("extras", {}, "missing"),
        ("extras", {"behaviour_log_prob": np.full((8, 4), 0.01, F32)}, "probability"),
        ("extras", {"behaviour_log_prob": np.full((8, 4), np.nan, F32)}, "probability"),
        ("extras", {"behaviour_log_prob": np.full((8, 4), -np.inf, F32)}, "probability"),
        ("extras", {"behaviour_log_prob": np.zeros((9, 4), F32)}, "shape"),
        ("carry", {"surprise": np.zeros(4)}, "unknown"),
        ("carry", {"state/h": np.zeros(4, F32)}, "unknown"),
        ("carry", {"previous_action/": np.zeros(4, np.uint8)}, "unknown"),
        ("carry", {"previous_action/arm": np.zeros(4, np.uint8)}, "unknown"),
        ("carry", {"previous_action": np.full(4, 2, np.uint8)}, "range"),
        ("carry", {"previous_reward": np.full(4, 101, F32)}, "reward"),
        ("carry", {"episode_steps": np.full(4, -1, np.int32)}, "range"),
        ("carry", {"episode_steps": np.zeros(4, np.int64)}, "dtype"),
        ("carry", {"episode_steps": np.zeros(3, np.int32)}, "shape"),
    ],
)
def test_named_arrays_are_held_against_the_learners_own_spaces(
    make_batch: MakeBatch, make_contract: MakeContract, name: str, arrays: Any, reason: str
) -> None:
    assert refusal(make_contract(), replace(make_batch(), **{name: arrays})) == reason


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("rewards", np.zeros((8, 4)), "dtype"),
        ("rewards", np.zeros((8, 5), F32), "shape"),
        ("rewards", np.full((8, 4), np.nan, F32), "reward"),
        ("rewards", np.full((8, 4), np.inf, F32), "reward"),
        ("rewards", np.full((8, 4), -100.5, F32), "reward"),
        ("terminated", np.zeros((8, 4), np.uint8), "dtype"),
        ("truncated", np.zeros((4, 8), bool), "shape"),
        ("valid", np.zeros((9, 4), bool), "shape"),
    ],
)
def test_plain_arrays_have_the_types_and_shapes_of_the_wire(
    make_batch: MakeBatch, make_contract: MakeContract, name: str, array: Array, reason: str
) -> None:
    assert refusal(make_contract(), quiet_batch(make_batch, **{name: array})) == reason


def test_one_bad_number_among_many_is_enough(
    make_batch: MakeBatch, make_contract: MakeContract
) -> None:
    batch, contract = make_batch(), make_contract()

    rewards = with_value(batch.rewards, (3, 2), np.nan)
    seen = {"": with_value(batch.observations[""], (8, 3, 3), np.inf)}
    done = {"": with_value(batch.actions[""], (7, 0), 255)}

    assert refusal(contract, replace(batch, rewards=rewards)) == "reward"
    assert refusal(contract, replace(batch, observations=seen)) == "not-finite"
    assert refusal(contract, replace(batch, actions=done)) == "range"


def test_bounds_of_float_spaces_are_not_enforced(
    make_batch: MakeBatch, make_contract: MakeContract
) -> None:
    contract = make_contract()
    assert contract.observations[""].high == 1.0

    contract.check(replace(make_batch(), observations={"": np.full((9, 4, 4), 5.0, F32)}))


def test_a_log_probability_may_be_above_zero_by_rounding(
    make_batch: MakeBatch, make_contract: MakeContract
) -> None:
    rounded = {"behaviour_log_prob": np.full((8, 4), 5e-5, F32)}

    make_contract().check(replace(make_batch(), extras=rounded))


def test_a_log_density_may_be_above_zero_but_must_be_finite(
    make_batch: MakeBatch, make_contract: MakeContract
) -> None:
    contract = make_contract(extras={"behaviour_log_prob": Extra("float32", kind="log-density")})

    contract.check(replace(make_batch(), extras={"behaviour_log_prob": np.full((8, 4), 7, F32)}))
    for wrong in (np.nan, np.inf, -np.inf):
        extras = {"behaviour_log_prob": np.full((8, 4), wrong, F32)}
        assert refusal(contract, replace(make_batch(), extras=extras)) == "not-finite"


def test_entries_of_an_action_are_each_in_their_own_range(
    make_batch: MakeBatch, make_contract: MakeContract
) -> None:
    # Given a table of entries with 2, 5, 3 and 1 values
    leaf = Leaf("uint8", (2, 2), 5, nvec=(2, 5, 3, 1))
    contract = make_contract(actions={"": leaf})
    largest = np.broadcast_to(np.array([[1, 4], [2, 0]], np.uint8), (8, 4, 2, 2))
    batch = replace(make_batch(), actions={"": largest}, carry={})
    # Then each may have its largest, and none more
    contract.check(batch)
    for entry in np.ndindex(2, 2):
        beyond = with_value(largest, (3, 2, *entry), largest[(3, 2, *entry)] + 1)
        assert refusal(contract, replace(batch, actions={"": beyond})) == "range"
        carry = {"previous_action": beyond[3]}
        assert refusal(contract, replace(batch, carry=carry)) == "range"


def test_a_mask_must_allow_a_value_of_every_entry(
    make_batch: MakeBatch, make_contract: MakeContract
) -> None:
    # Given entries of two and three values
    contract = make_contract(
        actions={"": Leaf("uint8", (2,), 3, nvec=(2, 3))},
        extras={"action_mask": Extra("bool", (5,), "ticks+1", "mask")},
    )
    mask = np.zeros((9, 4, 5), bool)
    mask[..., [1, 2]] = True
    actions = {"": np.broadcast_to(np.array([1, 0], np.uint8), (8, 4, 2))}
    batch = replace(make_batch(), actions=actions, extras={"action_mask": mask}, carry={})
    # Then one of each is enough, and two of one are not
    contract.check(batch)
    taken = {"": np.broadcast_to(np.array([0, 0], np.uint8), (8, 4, 2))}
    assert refusal(contract, replace(batch, actions=taken)) == "range"
    without = with_value(with_value(mask, (8, 3, 2), False), (8, 3, 0), True)
    assert refusal(contract, replace(batch, extras={"action_mask": without})) == "range"


def test_actions_and_previous_actions_of_every_path_are_held_against_the_space(
    make_batch: MakeBatch, make_contract: MakeContract
) -> None:
    # Given an arm that turns by two numbers, and grips or not
    arm = {"turn": Leaf("float32", (2,), low=-1.0, high=1.0), "grip": Leaf("uint8", (), 2)}
    contract = make_contract(actions=arm, needs_carry=True)
    actions: Arrays = {"turn": np.full((8, 4, 2), 3.5, F32), "grip": np.ones((8, 4), np.uint8)}
    before: Arrays = {"previous_action/turn": np.zeros((4, 2), F32)}
    before["previous_action/grip"] = np.zeros(4, np.uint8)
    rest = {k: v for k, v in make_batch().carry.items() if k != "previous_action"}
    batch = replace(make_batch(), actions=actions, carry=rest | before)
    # Then what was drawn beyond the bounds is taken, and what is no number or is not there is not
    contract.check(batch)
    for wrong in (np.nan, np.inf):
        turn = with_value(actions["turn"], (2, 3, 1), wrong)
        assert refusal(contract, replace(batch, actions=actions | {"turn": turn})) == "not-finite"
        carried = rest | before | {"previous_action/turn": np.full((4, 2), wrong, F32)}
        assert refusal(contract, replace(batch, carry=carried)) == "not-finite"
    for name in before:
        carried = {k: v for k, v in batch.carry.items() if k != name}
        assert refusal(contract, replace(batch, carry=carried)) == "missing"
    assert refusal(contract, replace(batch, actions={"turn": actions["turn"]})) == "missing"


def test_signed_discrete_values_may_not_be_negative(
    make_batch: MakeBatch, make_contract: MakeContract
) -> None:
    contract = make_contract(actions={"": Leaf("int64", (), 2)})

    contract.check(replace(make_batch(), actions={"": np.ones((8, 4), np.int64)}, carry={}))
    negative = replace(make_batch(), actions={"": -np.ones((8, 4), np.int64)}, carry={})
    assert refusal(contract, negative) == "range"


def test_discrete_observations_are_in_range_too(
    make_batch: MakeBatch, make_contract: MakeContract
) -> None:
    contract = make_contract(observations={"": Leaf("uint16", (), 500)})

    contract.check(replace(make_batch(), observations={"": np.full((9, 4), 499, np.uint16)}))
    outside = replace(make_batch(), observations={"": np.full((9, 4), 500, np.uint16)})
    assert refusal(contract, outside) == "range"


def test_value_like_extras_have_a_row_for_bootstrapping(
    make_batch: MakeBatch, make_contract: MakeContract
) -> None:
    contract = make_contract(extras={"q": Extra("float32", (2,), "ticks+1")})

    contract.check(replace(make_batch(), extras={"q": np.full((9, 4, 2), 3, F32)}))
    short = replace(make_batch(), extras={"q": np.full((8, 4, 2), 3, F32)})
    assert refusal(contract, short) == "shape"
    endless = replace(make_batch(), extras={"q": np.full((9, 4, 2), np.inf, F32)})
    assert refusal(contract, endless) == "not-finite"


def test_masks_must_allow_some_action_in_every_row(
    make_batch: MakeBatch, make_contract: MakeContract
) -> None:
    contract, batch = make_contract(), make_batch()
    assert contract.mask_size == 0
    mask = Extra("bool", (3,), "ticks+1", "mask")
    masked = replace(contract, extras={**contract.extras, "action_mask": mask})
    assert masked.mask_size == 3

    masks = np.ones((9, 4, 3), bool)
    masked.check(replace(batch, extras={**batch.extras, "action_mask": masks}))
    nothing = with_value(masks, (8, 2), False)
    assert refusal(masked, replace(batch, extras={**batch.extras, "action_mask": nothing})) == (
        "range"
    )


def _numbers() -> Iterator[tuple[str, float]]:
    for field in ("observation", "carry", "frames", "value", "log-density", "log-probability"):
        for value in (3e38, -3e38, 1e30, -1e30, 1e18, 1e13, np.nan, np.inf, -np.inf, 1e-42, 1e3):
            yield field, value


@pytest.mark.parametrize(("field", "value"), list(_numbers()))
def test_numbers_are_refused_wherever_they_stand_if_they_could_overflow(
    make_batch: MakeBatch, make_contract: MakeContract, field: str, value: float
) -> None:
    # Given every kind of number that a player can send, in a space without bounds
    extras = {
        "value": Extra("float32"),
        "log-density": Extra("float32", kind="log-density"),
        "log-probability": Extra("float32", kind="log-probability"),
    }
    contract = make_contract(
        observations={"": Leaf("float32", (4,))},
        extras=extras,
        state={"h": Leaf("float32", (3,))},
        stack=2,
        seen={"": 900.0},
    )
    rng = np.random.default_rng(zlib.crc32(f"{field} {value}".encode()))
    batch = make_batch()
    batch = replace(
        batch,
        extras={name: np.full((8, 4), -0.5, F32) for name in extras},
        carry=batch.carry | {"state/h": np.zeros((4, 3), F32), "frames": np.zeros((4, 1, 4), F32)},
    )
    contract.check(batch)
    arrays = {
        "observation": batch.observations[""],
        "carry": batch.carry["state/h"],
        "frames": batch.carry["frames"],
        **batch.extras,
    }
    # When one of them is this value, at any position
    array = arrays[field]
    array[tuple(int(rng.integers(size)) for size in array.shape)] = value
    # Then it is taken only if nothing that is made of it can overflow
    if abs(value) <= 1e3 and not (field == "log-probability" and value > 0.1):
        contract.check(batch)
    else:
        assert refusal(contract, batch) in ("not-finite", "too-far", "probability")


@pytest.mark.parametrize(
    ("leaf", "seen", "limit"),
    [
        (Leaf("float32", (2,)), 0.0, 1e8),
        (Leaf("float32", (2,)), 1.7e9, 1.7e13),
        (Leaf("float32", (2,), low=0.0, high=1e9), 3.0, 1e13),
        (Leaf("float32", (2,), low=-3.4e38, high=3.4e38), 3.0, 1e8),
        (Leaf("int64", (2,)), 3.0, 1e8),
    ],
)
def test_the_limit_of_a_number_comes_from_the_space_and_the_trial(
    leaf: Leaf, seen: float, limit: float
) -> None:
    assert limit_of(leaf, seen) == pytest.approx(limit)
    array = np.full(2, limit, leaf.dtype)
    require_within("it", (array * 0.99).astype(leaf.dtype), limit)
    with pytest.raises(MessageError, match=r"it holds .*, and at most ±.* is accepted"):
        require_within("it", (array * -1.01).astype(leaf.dtype), limit)
