"""Environments side by side: one fails, is made anew, and the others know nothing of it."""

import signal
import time
from typing import Any

import gymnasium
import numpy as np
import pytest
from faulty import GIVEN, RAISED, Fault, Faulty, World
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyqueue.envs.build import reset_seeded
from tinyqueue.envs.side_by_side import MOST_FAILURES, SideBySide
from tinyqueue.errors import ConfigError, EnvironmentFailedError

SLOTS = 3


def side_by_side(world, slots=SLOTS, hang_s=None):
    return SideBySide(lambda slot: Faulty(slot, world), slots, "Faulty-v0", hang_s)


def play(vector, steps):
    """Rows of (observation, reward, terminated, truncated, restarted)."""
    rows = []
    for _ in range(steps):
        observed, rewards, terminated, truncated, _ = vector.step(np.zeros(vector.num_envs, int))
        rows.append((observed.copy(), rewards, terminated, truncated, list(vector.restarted)))
    return rows


@pytest.mark.parametrize("name", ["Acrobot-v1", "FrozenLake-v1", "Pendulum-v1"])
def test_without_faults_it_plays_as_gymnasiums_own(name):
    mine = SideBySide(lambda slot: gymnasium.make(name, max_episode_steps=7), SLOTS, name)
    other = SyncVectorEnv([lambda: gymnasium.make(name, max_episode_steps=7)] * SLOTS)
    assert np.array_equal(reset_seeded(mine, 3), reset_seeded(other, 3))
    other.action_space.seed(1)
    for _ in range(30):
        actions = other.action_space.sample()
        for ours, theirs in zip(mine.step(actions)[:4], other.step(actions)[:4], strict=True):
            assert np.array_equal(ours, theirs)


def test_a_slot_that_fails_shows_its_next_episode_on_the_same_tick():
    world = World([Fault("error", "step", slot=1, call=3)])
    vector = side_by_side(world)
    vector.reset(seed=[1, 2, 3])

    rows = play(vector, 4)

    # Environments 1, 2 and 3 are in slots 0, 1 and 2; the fourth is made in slot 1.
    assert [row[0][1].tolist() for row in rows] == [[2, 1], [2, 2], [4, 0], [4, 1]]
    assert [row[4] for row in rows] == [[], [], [1], []]
    assert [row[0][0].tolist() for row in rows] == [[1, 1], [1, 2], [1, 3], [1, 4]]
    assert rows[3][2].tolist() == [True, False, True]
    number, last = vector.take_faults()
    assert (number, vector.take_faults().number) == (1, 0)
    assert last.startswith("Faulty-v0 failed in step 3 in slot 1: RuntimeError: error in step (at ")
    vector.close()
    assert world.open == 0


@pytest.mark.parametrize("begins_batch", [True, False])
def test_where_no_tick_before_can_be_marked_the_tick_itself_is_cut(begins_batch):
    call = 3 if begins_batch else 1
    vector = side_by_side(World([Fault("error", "step", slot=0, call=call)]))
    vector.reset(seed=[1, 2, 3])
    before = play(vector, call - 1)
    vector.begin_batch()

    cut, anew = play(vector, 2)

    assert (cut[1][0], cut[2][0], cut[3][0]) == (0.0, False, True)
    shown = before[-1][0][0].tolist() if before else [1, 0]
    assert cut[0][0].tolist() == shown
    assert (anew[0][0].tolist(), anew[3][0], anew[4]) == ([4, 0], False, [])


def test_a_reset_that_fails_costs_no_episode():
    vector = side_by_side(World([Fault("error", "reset", slot=2, call=2)]))
    vector.reset(seed=[1, 2, 3])

    rows = play(vector, 6)

    assert [row[0][2].tolist() for row in rows[3:]] == [[3, 4], [4, 0], [4, 1]]
    assert not any(row[3].any() or row[4] for row in rows)
    assert vector.take_faults().number == 1


@pytest.mark.parametrize("place", ["init", "reset", "step"])
def test_a_slot_that_fails_again_and_again_raises_what_it_raised(place):
    world = World([Fault("error", place, slot=1, call=1, always=True)])

    def play_on():
        vector = side_by_side(world)
        vector.reset(seed=[1, 2, 3])
        play(vector, 50)

    with pytest.raises(EnvironmentFailedError, match=f"in slot 1: RuntimeError: error in {place}"):
        play_on()
    if place == "init":
        assert world.open == 0
        assert world.calls["init", 1] == MOST_FAILURES


def test_always_the_same_step_is_again_and_again_too():
    world = World()
    vector = side_by_side(world)
    vector.reset(seed=[1, 2, 3])
    world.faults = [Fault("error", "step", 0, call) for call in range(3, 300, 3)]
    with pytest.raises(EnvironmentFailedError, match="step 3 in slot 0") as raised:
        play(vector, 100)
    assert "faulty.py" in raised.value.place
    assert "RuntimeError: error in step" in raised.value.traceback


def test_episodes_that_end_by_themselves_in_between_make_faults_bearable():
    world = World([Fault("error", "step", 0, call) for call in range(5, 300, 5)])
    vector = side_by_side(world)
    vector.reset(seed=[1, 2, 3])
    play(vector, 200)
    assert vector.take_faults().number > MOST_FAILURES


def test_the_second_that_cannot_exist_is_told_what_to_try():
    world = World([Fault("os", "init", slot=1, call=1, always=True)])
    with pytest.raises(EnvironmentFailedError, match=r"session\.slots=1.*evaluation\.slots=1"):
        side_by_side(world)


def test_one_that_hangs_is_made_anew():
    vector = side_by_side(World([Fault("hang", "step", slot=1, call=2)]), hang_s=0.05)
    vector.reset(seed=[1, 2, 3])
    began_s = time.monotonic()

    rows = play(vector, 3)

    assert time.monotonic() - began_s < 10
    assert rows[1][4] == [1]
    fault = vector.take_faults()
    assert "step 2 in slot 1: it did not return within 0.05 s" in fault.last
    assert "faulty.py" in fault.last
    vector.close()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL


@pytest.mark.slow
def test_slots_that_hang_together_cost_little_more_than_one():
    slots = range(SLOTS)
    hangs = [Fault("hang", "step", slot=slot, call=call) for slot in slots for call in (2, 5)]
    vector = side_by_side(World(hangs), hang_s=0.6)
    vector.reset(seed=list(slots))
    for _ in range(2):
        vector.begin_batch()
        began_s = time.monotonic()
        play(vector, 3)
        assert 0.6 < time.monotonic() - began_s < 1.2 + 0.5
    assert vector.take_faults().number == 2 * SLOTS
    vector.close()


def test_many_slow_slots_are_not_one_that_hangs():
    class Slow(Faulty):
        def step(self, action):
            time.sleep(0.04)
            return super().step(action)

    world = World()
    vector = SideBySide(lambda slot: Slow(slot, world), 8, "Slow-v0", hang_s=0.15)
    vector.reset(seed=list(range(8)))
    play(vector, 3)
    assert vector.take_faults().number == 0
    vector.close()


@pytest.mark.parametrize("error", [KeyboardInterrupt, "SoftTimeLimitExceeded"])
def test_ctrl_c_and_time_limits_pass(error):
    kind = type(error, (Exception,), {}) if isinstance(error, str) else error

    class Stopped(Faulty):
        def step(self, action):
            raise kind

    world = World()
    vector = SideBySide(lambda slot: Stopped(slot, world), 2, "Stopped-v0")
    vector.reset(seed=[1, 2])
    with pytest.raises(kind):
        vector.step(np.zeros(2, int))
    vector.close()
    assert world.open == 0


def test_slots_of_different_spaces_are_refused_by_their_number():
    class Odd(Faulty):
        def __init__(self, slot, world):
            super().__init__(slot, world)
            self.observation_space = spaces.Box(0, 1, (2 + slot,), np.float32)

    world = World()
    with pytest.raises(EnvironmentFailedError, match="slot 1: observation_space"):
        SideBySide(lambda slot: Odd(slot, world), 2, "Odd-v0")
    assert world.open == 0


def test_a_space_that_is_not_supported_closes_what_was_built():
    class Graph(Faulty):
        observation_space: Any = spaces.Graph(spaces.Box(0, 1), None)

    world = World()
    with pytest.raises(ConfigError, match="not supported"):
        SideBySide(lambda slot: Graph(slot, world), 2, "Graph-v0")
    assert world.open == 0


FAULTS = st.lists(
    st.builds(
        Fault,
        kind=st.sampled_from([*RAISED, *(kind for kind in GIVEN if kind != "hang")]),
        place=st.sampled_from(["init", "reset", "step", "close"]),
        slot=st.integers(0, SLOTS - 1),
        call=st.integers(1, 9),
        always=st.sampled_from([False, False, False, True]),
    ),
    max_size=6,
)


def played(world):
    """What became of 20 steps: None, or the error that ended them."""
    vector = None
    try:
        vector = side_by_side(world)
        vector.reset(seed=[1, 2, 3])
        rows = play(vector, 20)
        assert np.isfinite([row[0] for row in rows]).all()
        assert vector.take_faults().number <= world.done
    except EnvironmentFailedError as error:
        return error
    finally:
        if vector is not None:
            vector.close()
    return None


@settings(max_examples=75, deadline=None)
@given(faults=FAULTS)
def test_whatever_goes_wrong_it_is_counted_or_named_and_all_is_closed(faults):
    world = World(faults)
    error = played(world)
    assert world.open == 0
    if error is not None:
        assert any(fault.always for fault in faults) or len(faults) >= MOST_FAILURES
        assert "Faulty-v0 failed in" in str(error)


class NeverCloses(gymnasium.Env):
    observation_space = spaces.Box(0, 1, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def close(self):
        time.sleep(600)


@pytest.mark.slow
def test_a_close_that_hangs_in_every_slot_is_given_up_within_a_bound(monkeypatch):
    monkeypatch.setattr("tinyqueue.envs.side_by_side.CLOSE_S", 0.2)
    vector = SideBySide(lambda slot: NeverCloses(), 50, "NeverCloses-v0")

    began_s = time.monotonic()
    vector.close()

    assert 0.2 <= time.monotonic() - began_s < 10
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
