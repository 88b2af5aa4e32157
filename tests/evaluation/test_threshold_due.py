"""When the next evaluation is asked for, and what is told of it."""

from typing import Any, cast

import numpy as np
import pytest
from threshold_games import Games, checkpoint

from tinyqueue.evaluation.threshold import ReturnThreshold
from tinyqueue.experiment.sections import EvaluationConfig


@pytest.fixture
def games():
    return Games()


@pytest.fixture
def make_threshold(games):
    def make(threshold=475.0, seed=0, **config):
        return ReturnThreshold(threshold, EvaluationConfig(**config), games, seed)

    return make


def test_the_training_mean_is_near_after_its_share_of_the_way_from_the_first_mean(make_threshold):
    threshold = make_threshold(threshold=120.0, near=0.6)

    # From the first mean, 20, six tenths of the way to 120 is 80.
    assert [threshold.is_near(mean, 20.0, 0) for mean in (20, 79, 81)] == [False, False, True]


def test_a_level_below_zero_is_approached_from_below(make_threshold):
    threshold = make_threshold(threshold=-100.0, near=0.5)

    assert [threshold.is_near(mean, -500.0, 0) for mean in (-500, -301, -299)] == [
        False,
        False,
        True,
    ]


def test_nothing_is_near_before_there_was_a_first_mean(make_threshold):
    threshold = make_threshold(threshold=10.0)

    assert not threshold.is_near(500.0, None, 0)
    assert threshold.is_near(500.0, 500.0, 0)


def test_an_evaluation_under_way_is_waited_for(make_threshold, games):
    threshold = make_threshold(every_env_steps=1)
    threshold.ask(checkpoint(1000), "weights")

    assert not threshold.is_near(500.0, 20.0, 10**9)
    assert threshold.answer(0) is None

    games.finish(100.0)
    assert threshold.answer(0).mean_return == 100.0
    assert threshold.is_near(500.0, 20.0, 10**9)


def test_the_next_evaluation_keeps_its_distance_in_env_steps(make_threshold, games):
    threshold = make_threshold(every_env_steps=20_000)
    threshold.ask(checkpoint(1000), "weights")
    games.finish(100.0)
    threshold.answer(0)

    assert not threshold.is_near(500.0, 20.0, 20_999)
    assert threshold.is_near(500.0, 20.0, 21_000)


def test_a_run_without_a_first_mean_is_looked_at_after_the_steps_that_the_games_take(
    make_threshold,
):
    threshold = make_threshold(every_env_steps=20_000, episodes=100)

    due = [threshold.is_due(5.0, None, steps, 1_000.0) for steps in (0, 20_000, 99_999, 100_000)]

    assert due == [False, False, False, True]


def test_a_run_whose_level_is_far_is_looked_at_all_the_same_now_and_then(make_threshold, games):
    threshold = make_threshold(every_env_steps=1_000)
    threshold.ask(checkpoint(1_000), "weights")
    games.finish(20.0)
    threshold.answer(0)

    due = [threshold.is_due(20.0, 20.0, steps, 9.0) for steps in (2_000, 10_999, 11_000)]

    assert due == [False, False, True]


def test_while_the_level_is_far_evaluations_take_a_tenth_of_what_is_trained_on(
    make_threshold, games
):
    threshold = make_threshold(every_env_steps=1_000)
    threshold.ask(checkpoint(10_000), "weights")
    games.finish(20.0)
    # Given an evaluation during which 5,000 env steps were trained on
    threshold.answer(15_000)

    due = [threshold.is_due(20.0, 20.0, steps, 9.0) for steps in (15_000, 59_999, 60_000)]

    assert due == [False, False, True]
    # Near the target, an interval is enough.
    assert threshold.is_due(470.0, 20.0, 15_000, 9.0)


@pytest.mark.parametrize("first_mean", [None, 1e28, -1e30])
@pytest.mark.parametrize("mean", [1e30, -1e30, 20.0])
def test_whatever_returns_and_lengths_players_report_a_run_is_evaluated_in_the_end(
    make_threshold, mean, first_mean
):
    threshold = make_threshold(every_env_steps=1000, episodes=10, max_steps_per_game=500)

    threshold.is_due(mean, first_mean, 0, 2.0**31)

    # The limit of a game counts at most, whatever they say.
    assert threshold.is_due(mean, first_mean, 10_000, 2.0**31)


def test_nothing_is_due_before_an_episode_has_ended_or_without_a_level(make_threshold):
    assert not make_threshold().is_due(float("nan"), None, 10**9, float("nan"))
    assert not make_threshold(threshold=None).is_due(5.0, None, 10**9, 10.0)


def test_training_returns_of_another_environment_tell_nothing_of_the_target(games):
    threshold = ReturnThreshold(
        475.0,
        EvaluationConfig(every_env_steps=1_000, episodes=10),
        games,
        0,
        can_sample=True,
        is_comparable=False,
    )

    # However near the mean seems, only env steps decide: one interval, not ten.
    assert not threshold.is_near(480.0, 20.0, 0)
    assert not threshold.is_due(480.0, 20.0, 0, 50.0)
    assert not threshold.is_due(-9.0, 20.0, 999, 50.0)
    assert threshold.is_due(-9.0, 20.0, 1_000, 50.0)

    threshold.ask(checkpoint(1_000), cast(Any, "weights"), training_mean=480.0)
    games.finish(20.0)
    assert not threshold.wants_sampled(cast(Any, threshold.answer(0)))


FAR, NEAR = 100.0, 300.0
# Six tenths of the way from 20 to 475 is 293.


@pytest.fixture
def asked_at_5_000(games):
    def make(is_comparable=True):
        threshold = ReturnThreshold(
            475.0,
            EvaluationConfig(every_env_steps=1_000, near=0.6, episodes=10),
            games,
            0,
            is_comparable=is_comparable,
        )
        threshold.ask(checkpoint(5_000), cast(Any, "weights"))
        games.finish(FAR)
        assert threshold.answer(0) is not None
        return threshold

    return make


@pytest.mark.parametrize(
    ("mean", "first_mean", "length", "is_comparable", "told"),
    [
        (NEAR, 20.0, 50.0, True, "in 700 env steps"),
        (
            FAR,
            20.0,
            50.0,
            True,
            "in 9,700 env steps, or in 700 once the training mean has come to 293.0 "
            "(evaluation.near)",
        ),
        (
            FAR,
            20.0,
            3_000.0,
            True,
            "in 29,700 env steps, or in 700 once the training mean has come to 293.0 "
            "(evaluation.near)",
        ),
        (
            FAR,
            None,
            200.0,
            True,
            "in 1,700 env steps, unless the mean of the first 100 training episodes is there by "
            "then (evaluation.near)",
        ),
        (NEAR, 20.0, 50.0, False, "in 700 env steps"),
    ],
)
def test_what_is_told_of_the_next_evaluation_is_when_it_is_due(
    asked_at_5_000, mean, first_mean, length, is_comparable, told
):
    threshold = asked_at_5_000(is_comparable)

    assert threshold.next_told(mean, first_mean, 5_300, length) == told

    left = int(told.split()[1].replace(",", ""))
    assert not threshold.is_due(mean, first_mean, 5_300 + left - 1, length)
    assert threshold.is_due(mean, first_mean, 5_300 + left, length)
    if "once" in told:
        assert not threshold.is_due(294.0, first_mean, 5_999, length)
        assert not threshold.is_due(292.0, first_mean, 6_000, length)
        assert threshold.is_due(294.0, first_mean, 6_000, length)


def test_an_evaluation_that_is_overdue_is_told_as_the_next_thing(asked_at_5_000):
    threshold = asked_at_5_000()

    assert threshold.next_told(NEAR, 20.0, 9_000, 50.0) == "in 1 env steps"
    # Nothing is known of lengths before the first episode has ended.
    assert threshold.next_told(np.nan, None, 9_000, np.nan).startswith("in 1 env steps, unless")
