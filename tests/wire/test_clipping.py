"""Rewards beyond the bound are clipped where that is wanted, and told of; nothing else changes."""

from dataclasses import replace

import numpy as np
import pytest

from tinyqueue.errors import MessageError

F32 = np.float32


def with_reward(batch, value, tick=3, slot=2):
    rewards = batch.rewards.copy()
    rewards[tick, slot] = value
    return replace(batch, rewards=rewards)


@pytest.fixture
def contract(make_contract):
    return make_contract(max_abs_reward=100.0, clips=True)


@pytest.fixture
def batch(make_batch):
    return make_batch()


@pytest.mark.parametrize(("reward", "becomes"), [(-1e9, -100.0), (100.5, 100.0), (99.5, 99.5)])
def test_a_large_reward_is_clipped_and_its_neighbours_are_left(contract, batch, reward, becomes):
    given = with_reward(batch, reward)

    sound, text, count = contract.clipped(given)
    contract.check(sound)

    assert sound.rewards[3, 2] == becomes
    others = np.ones_like(given.rewards, bool)
    others[3, 2] = False
    np.testing.assert_array_equal(sound.rewards[others], given.rewards[others])
    assert sound.rewards.dtype == F32
    assert count == (reward != becomes)
    assert bool(text) == (reward != becomes)


def test_the_first_is_told_with_its_value_slot_and_setting(contract, batch):
    _, text, count = contract.clipped(with_reward(with_reward(batch, -1e9), 1e7, tick=5))

    assert count == 2
    assert text == ("reward -1e+09 in slot 2: learner.max_abs_reward is 100; it is clipped to that")


def test_a_large_reward_that_was_carried_over_is_clipped_and_not_counted_again(contract, batch):
    carry = {**batch.carry, "previous_reward": np.full(4, 1e9, F32)}

    sound, text, count = contract.clipped(replace(batch, carry=carry))
    contract.check(sound)

    assert sound.carry["previous_reward"].tolist() == [100.0] * 4
    assert (text, count) == ("", 0)


def with_return(batch, value):
    returns = batch.episodes.returns.copy()
    returns[0] = value
    return replace(batch, episodes=replace(batch.episodes, returns=returns))


@pytest.mark.parametrize(("value", "sign"), [(1e30, 1), (-3e38, -1)])
def test_a_return_beyond_the_largest_rewards_is_clipped_and_told(contract, batch, value, sign):
    slot, steps = batch.episodes.slots[0], int(batch.episodes.lengths[0])

    sound, text, count = contract.clipped(with_return(batch, value))
    contract.check(sound)

    assert sound.episodes.returns[0] == sign * 100.0 * steps
    assert sound.episodes.returns[1:].tolist() == batch.episodes.returns[1:].tolist()
    assert sound.episodes.returns.dtype == F32
    assert count == 1
    assert text == (
        f"return {value:g} in slot {slot} after {steps} steps: learner.max_abs_reward is 100; it "
        "is clipped to that in every step"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("changed", "refused"), [(with_reward, "reward"), (with_return, "not a number")]
)
def test_what_is_no_number_is_refused_all_the_same(contract, batch, changed, refused, value):
    sound, _, count = contract.clipped(changed(batch, value))

    assert count == 0
    with pytest.raises(MessageError, match=refused):
        contract.check(sound)


@pytest.mark.parametrize(
    ("changed", "value", "refused"),
    [
        (with_reward, 1e9, r"reward 1e\+09 in slot 2: learner\.max_abs_reward"),
        (with_return, 1e30, r"return 1e\+30 in slot \d after \d steps"),
    ],
)
def test_nothing_is_clipped_where_batches_are_to_be_set_aside(
    make_contract, batch, changed, value, refused
):
    contract = make_contract(max_abs_reward=100.0, clips=False)
    given = changed(batch, value)

    assert contract.clipped(given) == (given, "", 0)
    with pytest.raises(MessageError, match=refused):
        contract.check(given)


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.float64, np.float16])
def test_rewards_of_another_type_are_left_to_be_refused(make_contract, batch, dtype):
    contract = make_contract(max_abs_reward=0.5, clips=True)
    carry = {**batch.carry, "previous_reward": np.ones(4, dtype)}
    for given in (replace(batch, rewards=np.ones((8, 4), dtype)), replace(batch, carry=carry)):
        sound, _, count = contract.clipped(given)

        assert count == 0
        with pytest.raises(MessageError):
            contract.check(sound)
