"""A stage whose environments fail: every batch keeps the contract, and every fault is counted."""

import copy
from itertools import pairwise, product
from typing import Any, cast

import faulty
import gymnasium
import numpy as np
import pytest
from faulty import GIVEN, RAISED, Fault, Faulty, World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinyqueue.data.spaces import Leaf
from tinyqueue.errors import ConfigError, EnvironmentFailedError
from tinyqueue.policy.heads import make_head
from tinyqueue.replay.plan import ReplayPlan
from tinyqueue.replay.replay import Replay
from tinyqueue.wire.contract import Contract
from tinyqueue.wire.sessions import decode_session, encode_session

SLOTS, BATCHES, GAMMA = 2, 6, 0.5
KINDS = [*RAISED, *(kind for kind in GIVEN if kind != "hang")]


@pytest.fixture(autouse=True)
def registered():
    gymnasium.register("Faulty-v0", cast(Any, Faulty))
    yield
    del gymnasium.registry["Faulty-v0"]


@pytest.fixture
def played(spec):
    def of(ticks):
        faulty.WORLD = World()
        return spec("Faulty-v0", ticks, SLOTS, kwargs={"slot": "{slot}"}, state={"n": [1]})

    return of


def play(stage, runner, played, faults, count=BATCHES):
    """The batches, and the error that ended them if one did."""
    faulty.WORLD = World(list(faults))
    batches, opened = [], None
    policy = runner(played, steps=True)
    try:
        opened = stage(played)
        for _ in range(count):
            batches.append(copy.deepcopy(opened.play(policy, "t")))
    except (EnvironmentFailedError, ConfigError) as error:
        # A constructor that never worked may have been given wrong arguments.
        return batches, error
    finally:
        if opened is not None:
            opened.close()
    return batches, None


def check(played, batches):
    """The learner's contract, on the batches as they arrive, and what it cannot see."""
    head = make_head(played.head, played.head_config, played.actions)
    contract = Contract(
        experiment="maze",
        run="a-run",
        observations=played.observations,
        actions=played.actions,
        ticks=played.ticks,
        slots=played.slots,
        extras=head.extras,
        max_abs_reward=10.0,
        state={"n": Leaf("float32", (1,))},
        needs_carry=True,
    )
    for batch in batches:
        encoded = encode_session(batch)
        contract.check(decode_session(encoded.body, encoded.headers))
    for before, after in pairwise(batches):
        assert np.array_equal(before.observations[""][-1], after.observations[""][0])
        ended = before.terminated[-1] | before.truncated[-1]
        assert np.array_equal(after.valid[0], ~ended)


def check_replay(played, batches, n_step):
    """No item joins two environments, and its return is what was rewarded between its rows."""
    replay = Replay(
        ReplayPlan(64, n_step, GAMMA, None),
        played.observations,
        played.actions,
        {},
        ticks=played.ticks,
        slots=SLOTS,
        capacity_steps=1000,
        capacity_bytes=10**8,
    )
    for number, batch in enumerate(batches):
        replay.add(number, batch)
    if not replay.size:
        return
    sample = replay.sample(np.random.default_rng(0), 0)
    before, after = sample.observations[""], sample.next_observations[""]
    assert np.array_equal(before[:, 0], after[:, 0])
    for at, to, returns, discount in zip(
        before[:, 1], after[:, 1], sample.returns, sample.discounts, strict=True
    ):
        # Step k of an episode is rewarded with k.
        rewards = np.arange(at + 1, to + 1)
        assert returns == pytest.approx((rewards * GAMMA ** np.arange(len(rewards))).sum())
        assert (discount == 0) == (to == 4)


def expected_faults(batches):
    return sum(batch.header.faults for batch in batches)


@pytest.mark.slow
@pytest.mark.parametrize("ticks", [1, 2, 5])
@pytest.mark.parametrize("kind", ["error", "nan"])
def test_a_fault_at_any_step_of_any_slots_keeps_the_contract(played, stage, runner, ticks, kind):
    spec = played(ticks)
    for call, slots in product(range(1, 10), [(0,), (1,), (0, 1)]):
        faults = [Fault(kind, "step", slot, call) for slot in slots]
        batches, error = play(stage, runner, spec, faults, count=4 + 8 // ticks)
        assert error is None
        check(spec, batches)
        check_replay(spec, batches, n_step=1)
        check_replay(spec, batches, n_step=3)
        assert expected_faults(batches) == faulty.WORLD.done == len(slots)
        told = [batch.header.fault for batch in batches if batch.header.faults]
        assert all("Faulty-v0 failed in step" in text for text in told)
        assert sum(len(batch.episodes) for batch in batches) >= len(slots)


def test_the_episode_is_truncated_at_its_last_good_step(played, stage, runner):
    spec = played(5)
    ((batch,), _) = play(stage, runner, spec, [Fault("error", "step", 1, 3)], count=1)

    assert batch.truncated[:, 1].tolist() == [False, True, False, False, False]
    assert batch.valid[:, 1].tolist() == [True, True, False, True, True]
    assert batch.observations[""][:, 1].tolist() == [[2, 0], [2, 1], [2, 2], [3, 0], [3, 1], [3, 2]]
    assert batch.rewards[:, 1].tolist() == [1, 2, 0, 1, 2]
    assert batch.episodes.slots.tolist() == [1, 0]
    assert batch.episodes.returns.tolist() == [3, 10]
    assert batch.episodes.lengths.tolist() == [2, 4]


def test_recurrent_state_and_what_came_before_are_nought_behind_a_fault(played, stage, runner):
    spec = played(3)
    (_, batch), _ = play(stage, runner, spec, [Fault("error", "step", 1, 3)], count=2)

    assert batch.carry["state/n"][:, 0].tolist() == [3, 0]
    assert batch.carry["previous_reward"].tolist() == [3, 0]
    assert batch.carry["episode_steps"].tolist() == [3, 0]


def test_a_fault_on_a_batchs_first_tick_is_a_tick_that_leads_nowhere(played, stage, runner):
    spec = played(2)
    (_, batch), _ = play(stage, runner, spec, [Fault("error", "step", 0, 3)], count=2)

    assert batch.truncated[:, 0].tolist() == [True, False]
    assert batch.valid[:, 0].tolist() == [True, False]
    assert batch.observations[""][:, 0].tolist() == [[1, 2], [1, 2], [3, 0]]
    assert batch.rewards[:, 0].tolist() == [0, 0]


def test_what_always_fails_ends_the_task_with_the_users_own_line(played, stage, runner):
    spec = played(4)
    _, error = play(stage, runner, spec, [Fault("error", "step", 1, 1, always=True)])

    assert error.kind == "RuntimeError"
    assert error.place.startswith("faulty.py:")
    assert "step 1 in slot 1" in str(error)
    assert faulty.WORLD.open == 0


FAULTS = st.lists(
    st.builds(
        Fault,
        kind=st.sampled_from(KINDS),
        place=st.sampled_from(["init", "reset", "step", "close"]),
        slot=st.integers(0, SLOTS - 1),
        call=st.integers(1, 9),
        always=st.sampled_from([False, False, False, True]),
    ),
    max_size=6,
)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(faults=FAULTS, ticks=st.sampled_from([1, 2, 3, 7]))
def test_whatever_fails_batches_keep_the_contract_and_all_is_closed(
    played, stage, runner, faults, ticks
):
    spec = played(ticks)
    batches, error = play(stage, runner, spec, faults)

    assert faulty.WORLD.open == 0
    check(spec, batches)
    check_replay(spec, batches, n_step=2)
    assert expected_faults(batches) <= faulty.WORLD.done
    if error is None:
        assert len(batches) == BATCHES
    else:
        first = any(fault.place == "init" and fault.call == 1 for fault in faults)
        assert "Faulty-v0 failed in" in str(error) or (first and isinstance(error, ConfigError))
        assert first or any(fault.always for fault in faults) or len(faults) >= 5
