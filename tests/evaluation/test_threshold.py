"""When evaluations are asked for, and what decides."""

from typing import Any, cast

import numpy as np
import pytest

from tinyqueue.errors import ConfigError
from tinyqueue.evaluation.answers import Answer
from tinyqueue.evaluation.threshold import Evaluated, ReturnThreshold
from tinyqueue.experiment.sections import EvaluationConfig
from tinyqueue.run.checkpoint import Checkpoint
from tinyqueue.wire.evaluations import EvaluationResult


class Games:
    """Takes requests; ``result`` is what the next poll gives."""

    def __init__(self):
        self.requests = []
        self.result = None

    def request(self, weights, request, seed, actions, here=False):
        self.requests.append((weights, request, seed, actions))

    def poll(self):
        result, self.result = self.result, None
        return result

    def finish(self, mean, request=None):
        self.result = Answer(result(request or self.requests[-1][1], mean), is_own=True)


def result(request, mean):
    returns = np.array([mean - 1, mean + 1], np.float32)
    return EvaluationResult(request, "pole", "r", 5, returns, np.ones(2, np.int32), 0.1, "me")


def checkpoint(env_steps):
    return Checkpoint(env_steps, 1, 5, {}, {}, b"", {})


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


def test_without_a_threshold_nothing_is_near_or_reached(make_threshold):
    threshold = make_threshold(threshold=None)

    assert not threshold.is_near(1e9, 0.0, 10**9)
    assert not threshold.is_reached(Evaluated(checkpoint(0), result("x", 1e9)))


def test_an_evaluation_under_way_is_waited_for(make_threshold, games):
    threshold = make_threshold(every_env_steps=1)
    threshold.ask(checkpoint(1000), "weights")

    assert not threshold.is_near(500.0, 20.0, 10**9)
    assert threshold.answer() is None

    games.finish(100.0)
    assert threshold.answer().mean_return == 100.0
    assert threshold.is_near(500.0, 20.0, 10**9)


def test_the_next_evaluation_keeps_its_distance_in_env_steps(make_threshold, games):
    threshold = make_threshold(every_env_steps=20_000)
    threshold.ask(checkpoint(1000), "weights")
    games.finish(100.0)
    threshold.answer()

    assert not threshold.is_near(500.0, 20.0, 20_999)
    assert threshold.is_near(500.0, 20.0, 21_000)


def test_the_answer_comes_with_the_state_that_was_measured(make_threshold, games):
    threshold = make_threshold()
    asked = checkpoint(1000)
    threshold.ask(asked, "weights")
    games.finish(480.0)

    answer = threshold.answer()

    assert answer.checkpoint is asked
    assert threshold.is_reached(answer)
    assert threshold.answer() is None


def test_an_answer_to_another_request_is_passed_over(make_threshold, games):
    threshold = make_threshold()
    threshold.ask(checkpoint(1), "weights")

    games.finish(500.0, request="of an earlier learner")
    assert threshold.answer() is None

    games.finish(470.0)
    assert threshold.answer().mean_return == 470.0


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
            threshold.answer()
        seeds += [request[2] for request in games.requests[-3:]]

    assert len(set(seeds)) == 6


def test_a_resumed_run_does_not_play_the_games_of_before_again(make_threshold, games):
    for env_steps in (1_000, 2_000):
        # A resumed run has a level of its own.
        threshold = make_threshold()
        threshold.ask(checkpoint(env_steps), "weights")

    first, second = [request[2] for request in games.requests]
    assert first != second


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
    threshold.answer()

    due = [threshold.is_due(20.0, 20.0, steps, 9.0) for steps in (2_000, 10_999, 11_000)]

    assert due == [False, False, True]


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

    assert threshold.answer().text == "me played greedy games, not sample ones"


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
    assert not threshold.wants_sampled(cast(Any, threshold.answer()))


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
        assert threshold.answer() is not None
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
