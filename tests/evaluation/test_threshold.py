"""What decides that a level is reached, and confirms it."""

from typing import Any, cast

import numpy as np
import pytest
from threshold_games import Games, checkpoint, result

from tinyqueue.errors import ConfigError
from tinyqueue.evaluation.evaluated import Evaluated
from tinyqueue.evaluation.threshold import ReturnThreshold
from tinyqueue.experiment.sections import EvaluationConfig
from tinyqueue.wire.evaluations import EvaluationResult


@pytest.fixture
def games():
    return Games()


@pytest.fixture
def make_threshold(games):
    def make(threshold=475.0, seed=0, **config):
        return ReturnThreshold(threshold, EvaluationConfig(**config), games, seed)

    return make


def test_without_a_threshold_nothing_is_near_or_reached(make_threshold):
    threshold = make_threshold(threshold=None)

    assert not threshold.is_near(1e9, 0.0, 10**9)
    assert not threshold.is_reached(Evaluated(checkpoint(0), result("x", 1e9)))


def test_the_answer_comes_with_the_state_that_was_measured(make_threshold, games):
    threshold = make_threshold()
    asked = checkpoint(1000)
    threshold.ask(asked, "weights")
    games.finish(480.0)

    answer = threshold.answer(0)

    assert answer.checkpoint is asked
    assert threshold.is_reached(answer)
    assert threshold.answer(0) is None


def test_an_answer_to_another_request_is_passed_over(make_threshold, games):
    threshold = make_threshold()
    threshold.ask(checkpoint(1), "weights")

    games.finish(500.0, request="of an earlier learner")
    assert threshold.answer(0) is None

    games.finish(470.0)
    assert threshold.answer(0).mean_return == 470.0


@pytest.mark.parametrize(("mean", "reached"), [(474.9, False), (475.0, True), (500.0, True)])
def test_the_mean_of_the_games_decides(make_threshold, mean, reached):
    assert make_threshold().is_reached(Evaluated(checkpoint(1), result("x", mean))) is reached


def test_every_evaluation_plays_games_of_its_own(make_threshold, games):
    seeds = []
    for seed in (0, 1):
        threshold = make_threshold(seed=seed)
        for _ in range(3):
            threshold.ask(checkpoint(1), "weights")
            games.finish(0.0)
            threshold.answer(0)
        seeds += [request[2] for request in games.requests[-3:]]

    assert len(set(seeds)) == 6


def test_a_resumed_run_does_not_play_the_games_of_before_again(make_threshold, games):
    for env_steps in (1_000, 2_000):
        # A resumed run has a level of its own.
        threshold = make_threshold()
        threshold.ask(checkpoint(env_steps), "weights")

    first, second = [request[2] for request in games.requests]
    assert first != second


def evaluated(*returns, actions="greedy", training_mean=0.0, is_own=True, **ends):
    values = np.array(returns, np.float32)
    lengths = np.ones(len(values), np.int32)
    answer = EvaluationResult("x", "pole", "r", 5, values, lengths, 0.1, "me", actions, **ends)
    return Evaluated(checkpoint(1), answer, training_mean, is_own)


@pytest.mark.parametrize(
    ("decided", "fresh", "confirmed"),
    [
        # Alike: no error to lie within.
        ([500.0] * 4, [500.0] * 4, True),
        ([40.0] * 4, [37.9] * 4, False),
        # One disaster makes the fresh error large; that of the deciding games is nought.
        ([40.0] * 100, [40.0] * 99 + [-1e7], False),
        # Standard errors of 1: two of them below 100 is 98.
        ([99.0, 101.0] * 1, [97.5, 99.5], True),
        ([99.0, 101.0] * 1, [96.5, 98.5], False),
        # A single game has no error.
        ([100.0], [99.9], False),
    ],
)
def test_fresh_games_confirm_a_level_within_the_smaller_error(
    make_threshold, decided, fresh, confirmed
):
    threshold = {500.0: 475.0, 40.0: 38.0}.get(decided[0], 100.0)
    threshold = make_threshold(threshold=threshold)

    assert threshold.is_confirmed(evaluated(*decided), evaluated(*fresh)) is confirmed


def test_where_another_played_the_first_set_the_learner_s_must_reach_the_level(make_threshold):
    threshold = make_threshold(threshold=100.0)
    theirs = evaluated(1e9, -1e8, is_own=False)

    assert not threshold.is_confirmed(theirs, evaluated(98.0, 101.0))
    assert threshold.is_confirmed(theirs, evaluated(99.0, 101.0))
    assert threshold.is_confirmed(evaluated(99.0, 101.0), evaluated(98.0, 101.0))


def test_a_few_of_the_games_neither_reach_nor_confirm_a_level(make_threshold):
    threshold = make_threshold()
    whole, part = evaluated(500.0, 500.0, asked=2), evaluated(500.0, 500.0, asked=3)

    assert (threshold.is_reached(whole), threshold.is_reached(part)) == (True, False)
    assert not threshold.is_confirmed(whole, part)


def test_games_that_were_cut_neither_reach_nor_confirm_a_level(make_threshold):
    threshold = make_threshold()
    whole, cut = evaluated(500.0, 500.0), evaluated(500.0, 500.0, cut=1)

    assert (threshold.is_reached(whole), threshold.is_reached(cut)) == (True, False)
    assert (threshold.is_confirmed(whole, whole), threshold.is_confirmed(whole, cut)) == (
        True,
        False,
    )


@pytest.mark.parametrize(
    ("games_played", "wanted"),
    [
        (evaluated(0.0, 0.0, training_mean=480.0), True),
        (evaluated(0.0, 0.0, training_mean=474.0), False),
        (evaluated(300.0, 600.0, training_mean=480.0), False),
        (evaluated(300.0, 600.0, training_mean=480.0, capped=1), True),
        (evaluated(500.0, 500.0, training_mean=480.0), False),
        (evaluated(0.0, 0.0, training_mean=480.0, actions="sample"), False),
    ],
)
def test_sampled_games_are_wanted_where_greedy_ones_stand_still(games, games_played, wanted):
    config = EvaluationConfig()

    assert (
        ReturnThreshold(475.0, config, games, 0, can_sample=True).wants_sampled(games_played)
        is wanted
    )
    assert not ReturnThreshold(475.0, config, games, 0).wants_sampled(games_played)


def test_once_sampled_play_is_better_it_stays(games):
    weights: Any = "weights"
    threshold = ReturnThreshold(475.0, EvaluationConfig(), games, 0, can_sample=True)

    threshold.compared(evaluated(10.0), evaluated(9.0, actions="sample"))
    threshold.ask(checkpoint(1), weights)
    threshold.compared(evaluated(10.0), evaluated(11.0, actions="sample"))
    threshold.ask(checkpoint(2), weights)

    assert [request[3] for request in games.requests] == ["greedy", "sample"]


@pytest.mark.parametrize("own", [(True, False), (False, True), (False, False)])
def test_what_another_played_does_not_choose_the_actions_of_later_games(games, own):
    weights: Any = "weights"
    threshold = ReturnThreshold(475.0, EvaluationConfig(), games, 0, can_sample=True)
    greedy = evaluated(10.0, is_own=own[0])

    threshold.compared(greedy, evaluated(11.0, actions="sample", is_own=own[1]))
    threshold.ask(checkpoint(1), weights)

    assert [request[3] for request in games.requests] == ["greedy"]


def test_a_policy_without_probabilities_cannot_be_sampled(games):
    with pytest.raises(ConfigError, match=r"evaluation\.actions"):
        ReturnThreshold(475.0, EvaluationConfig(actions="sample"), games, 0)


def test_games_played_otherwise_than_they_were_asked_for_are_no_answer(games):
    threshold = ReturnThreshold(
        475.0, EvaluationConfig(actions="sample"), games, 0, can_sample=True
    )
    threshold.ask(checkpoint(1), cast(Any, "weights"))

    games.finish(500.0)

    assert threshold.answer(0).text == "me played greedy games, not sample ones"


def test_the_learner_plays_too_what_another_says_falls_short_of_training(make_threshold):
    threshold = make_threshold(threshold=100.0)

    assert threshold.wants_own(evaluated(1.0, 3.0, training_mean=100.0, is_own=False))
    # As far away as chance may be.
    assert not threshold.wants_own(evaluated(97.0, 101.0, training_mean=100.0, is_own=False))
    assert not threshold.wants_own(evaluated(1.0, 3.0, training_mean=99.0, is_own=False))
    assert not threshold.wants_own(evaluated(1.0, 3.0, training_mean=100.0))
    assert not threshold.wants_own(evaluated(101.0, 101.0, training_mean=100.0, is_own=False))


@pytest.mark.parametrize(
    ("theirs", "own", "disagree"),
    [
        ([1.0] * 4, [500.0] * 4, True),
        ([470.0] * 4, [500.0] * 4, False),
        ([-21.0] * 4, [-15.0] * 4, True),
        # Means of 100 and 200, with standard errors of 10 and 30 each.
        ([90.0, 110.0], [190.0, 210.0], True),
        ([70.0, 130.0], [170.0, 230.0], False),
        ([0.0] * 4, [0.0] * 4, False),
    ],
)
def test_games_that_cannot_be_of_the_same_weights_disagree(make_threshold, theirs, own, disagree):
    threshold = make_threshold(threshold=475.0)

    assert threshold.disagrees(evaluated(*theirs, is_own=False), evaluated(*own)) is disagree
