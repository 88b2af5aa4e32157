"""The stage: what it records, and what goes on from batch to batch."""

from itertools import pairwise

import numpy as np
import pytest

from tinyqueue.errors import EnvironmentFailedError
from tinyqueue.player.stage import Stage
from tinyqueue.policy.heads.exploration import BySlot


def test_the_header_says_where_a_batch_comes_from(spec, stage, runner):
    played = spec("CartPole-v1", ticks=4, slots=2)
    opened, policy = stage(played), runner(played, version=17)
    headers = [opened.play(policy, "t").header for _ in range(3)]
    assert [header.n for header in headers] == [0, 1, 2]
    assert {header.stage for header in headers} == {opened.id}
    last = headers[-1]
    assert (last.experiment, last.run, last.user, last.player) == (
        "maze",
        "a-run",
        "alice",
        "host:1",
    )
    assert (last.policy_version, last.spec_version) == (17, played.version)
    assert (last.task, last.seed) == ("t", 3)
    assert last.play_s > 0


def test_two_stages_have_different_ids(spec, stage):
    played = spec("CartPole-v1", ticks=4, slots=2)
    assert stage(played).id != stage(played).id


def test_a_stage_begins_with_a_true_reset(spec, batches):
    (batch,) = batches(spec("CartPole-v1", ticks=4, slots=8), 1)
    assert batch.valid[0].all()
    assert np.abs(batch.observations[""][0]).max() <= 0.05
    assert batch.carry["episode_steps"].tolist() == [0] * 8
    assert batch.carry["previous_reward"].tolist() == [0.0] * 8


def test_each_batch_begins_with_the_last_row_of_the_one_before(spec, batches):
    first, second, third = batches(spec("CartPole-v1", ticks=8, slots=4), 3)
    assert np.array_equal(second.observations[""][0], first.observations[""][-1])
    assert np.array_equal(third.observations[""][0], second.observations[""][-1])


def test_the_tick_after_an_end_is_invalid_and_leads_to_the_next_episode(spec, batches):
    played = spec("Countdown-v0", ticks=7, slots=1, kwargs={"length": 3})
    (batch,) = batches(played, 1)
    rows = batch.observations[""][:, 0].tolist()
    # Final observation [0, 3] stays in the stream; the tick on it resets.
    assert rows == [[0, 0], [0, 1], [0, 2], [0, 3], [1, 0], [1, 1], [1, 2], [1, 3]]
    assert batch.observations[""].dtype == np.float32
    assert batch.rewards[:, 0].tolist() == [1, 2, 3, 0, 1, 2, 3]
    assert batch.terminated[:, 0].tolist() == [False, False, True, False, False, False, True]
    assert batch.valid[:, 0].tolist() == [True, True, True, False, True, True, True]
    assert batch.episodes.returns.tolist() == [6.0, 6.0]
    assert batch.env_steps == 6


def test_an_end_on_the_last_tick_makes_the_next_batchs_first_tick_invalid(spec, batches):
    played = spec("Countdown-v0", ticks=4, slots=1, kwargs={"length": 4})
    first, second, third = batches(played, 3)
    assert first.terminated[:, 0].tolist() == [False, False, False, True]
    assert second.valid[:, 0].tolist() == [False, True, True, True]
    assert second.observations[""][:, 0].tolist() == [[0, 4], [1, 0], [1, 1], [1, 2], [1, 3]]
    assert len(second.episodes) == 0
    assert third.valid[:, 0].tolist() == [True, False, True, True]
    assert third.episodes.returns.tolist() == [10.0]
    assert third.episodes.lengths.tolist() == [4]


def test_the_limit_of_steps_truncates_and_does_not_terminate(spec, batches):
    played = spec("Countdown-v0", ticks=6, slots=1, max_episode_steps=2)
    (batch,) = batches(played, 1)
    assert batch.truncated[:, 0].tolist() == [False, True, False, False, True, False]
    assert not batch.terminated.any()
    assert batch.valid[:, 0].tolist() == [True, True, False, True, True, False]
    assert batch.episodes.lengths.tolist() == [2, 2]


def test_the_carry_is_what_came_before_tick_0(spec, batches):
    played = spec("Countdown-v0", ticks=3, slots=1, kwargs={"length": 4})
    carries = [batch.carry for batch in batches(played, 3)]
    # Row 0 is step 0 of the first episode, step 3, and, after the reset on tick 4, step 1.
    assert [carry["episode_steps"].tolist() for carry in carries] == [[0], [3], [1]]
    assert [carry["previous_reward"].tolist() for carry in carries] == [[0.0], [3.0], [1.0]]


def test_the_previous_action_is_nought_before_an_episodes_first_row(spec, batches):
    # Logits grow with the number of the episode, so action 1 is sure from the 50th on.
    played = spec("Countdown-v0", ticks=1, slots=2, kwargs={"length": 2})
    played_batches = batches(played, 3 * 60)
    for before, batch in pairwise(played_batches):
        expected = before.actions[""][0] if before.valid[0, 0] else np.zeros(2)
        assert batch.carry["previous_action"].tolist() == expected.tolist()
    carried = [batch.carry["previous_action"][0] for batch in played_batches[-3:]]
    steps = [batch.carry["episode_steps"][0] for batch in played_batches[-3:]]
    assert sorted(zip(steps, carried, strict=True)) == [(0, 0), (0, 1), (1, 1)]


def test_recurrent_state_is_nought_before_an_episodes_first_observation(spec, batches):
    played = spec("Countdown-v0", ticks=1, slots=1, state={"n": [1]}, kwargs={"length": 2})
    states = [batch.carry["state/n"].item() for batch in batches(played, 7, steps=True)]
    # Two ticks, the final observation's, and then the next episode's first.
    assert states == [0, 1, 2, 0, 1, 2, 0]


def test_recurrent_state_follows_each_slot_within_a_batch(spec, batches):
    played = spec("Countdown-v0", ticks=5, slots=2, state={"n": [1]}, kwargs={"length": 3})
    states = [batch.carry["state/n"][:, 0].tolist() for batch in batches(played, 3, steps=True)]
    assert states == [[0, 0], [1, 1], [2, 2]]


@pytest.mark.parametrize("name", ["CartPole-v1", "FrozenLake-v1"])
def test_the_same_seed_plays_the_same_session(spec, batches, name):
    played = spec(name, ticks=16, slots=4)
    once, again, other = (batches(played, 3, seed=seed)[-1] for seed in (1, 1, 2))
    assert np.array_equal(once.observations[""], again.observations[""])
    assert np.array_equal(once.actions[""], again.actions[""])
    assert not np.array_equal(once.actions[""], other.actions[""])


def test_the_header_holds_the_exploration_rate_of_every_slot_of_this_stage(spec, stage, runner):
    by_slot = {"schedule": "by-slot", "base": 0.4, "power": 7.0}
    played = spec("CartPole-v1", 4, 3, head="epsilon-greedy", head_config=by_slot)
    opened = stage(played)
    first, second = (opened.play(runner(played), "t").header.epsilons for _ in range(2))
    expected = BySlot(**by_slot).epsilons(opened.id, 3, 0).tolist()
    assert first == second == tuple(expected)


def test_the_clock_of_the_weights_anneals_exploration(spec, stage, runner):
    annealed = {"schedule": "annealed", "start": 1.0, "end": 0.0, "steps": 1000}
    played = spec("CartPole-v1", 4, 2, head="epsilon-greedy", head_config=annealed)
    opened = stage(played)
    rates = [
        opened.play(runner(played, env_steps=env_steps), "t").header.epsilons
        for env_steps in (0, 250, 1000)
    ]
    assert rates == [(1.0, 1.0), (0.75, 0.75), (0.0, 0.0)]


def test_the_same_seed_and_id_explore_the_same(spec, runner):
    played = spec("CartPole-v1", 8, 4, head="epsilon-greedy", head_config={"schedule": "by-slot"})

    def actions(id):
        opened = Stage(played, user="local", player="serial", seed=3, id=id)
        return opened.play(runner(played), "t").actions[""].tolist()

    assert actions("0" * 32) == actions("0" * 32)
    assert actions("0" * 32) != actions("f" * 32)


def test_a_policy_that_samples_has_no_exploration_rates(spec, batches):
    (batch,) = batches(spec("CartPole-v1", ticks=4, slots=2), 1)
    assert batch.header.epsilons == ()


def test_an_interrupted_stage_plays_no_more(spec, stage, runner):
    played = spec("Countdown-v0", ticks=4, slots=2, kwargs={"breaks_at": 3})
    opened, policy = stage(played), runner(played)
    assert not opened.interrupted

    def play_on():
        for _ in range(20):
            opened.play(policy, "t")

    with pytest.raises(EnvironmentFailedError, match=r"joystick.*conftest\.py"):
        play_on()
    assert opened.interrupted
    with pytest.raises(RuntimeError, match="interrupted while it played batch"):
        opened.play(policy, "t")
