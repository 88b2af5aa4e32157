"""What fresh games contradict, and what another than the learner has played."""

import numpy as np
import pytest
from answering_games import Games
from answering_games import checkpoints as checkpoints
from answering_games import make_training as make_training
from answering_games import play as play
from answering_games import reporter as reporter
from stateless_source import taken


def test_fresh_games_that_contradict_decide_nothing(make_training, play, reporter, checkpoints):
    games = Games(104.0, -99_960.0)
    training = make_training(games)

    over = play(training, 120)
    outcome = training.finish()

    assert not over
    assert outcome.ended == "stopped"
    assert outcome.last_mean == -99_960.0
    assert reporter.messages == [
        "not solved: 4 greedy games came to 104.0, and 4 fresh ones of the same weights to "
        "-99,960. Training goes on; the next evaluation is in 94 env steps, unless the mean of the "
        "first 100 training episodes is there by then (evaluation.near)."
    ]
    assert checkpoints.best().score == -99_960.0
    assert len(games.asked) == 3


@pytest.mark.parametrize("is_own", [True, False])
def test_what_another_has_played_ends_a_run_only_with_games_of_the_learner(
    make_training, play, is_own
):
    games = Games(104.0, 103.0, is_own=is_own)
    training = make_training(games)

    assert play(training, 120)

    assert training.finish().ended == "solved"
    assert games.here == [False, not is_own]


@pytest.mark.parametrize("forged", [1e9, float(np.finfo(np.float32).max)])
def test_what_another_invents_ends_nothing_and_is_not_the_best(
    make_training, play, checkpoints, forged
):
    games = Games(forged, 20.0, is_own=False)
    training = make_training(games)

    assert not play(training, 120)

    assert games.here[:2] == [False, True]
    assert checkpoints.best().score == 20.0


FORGED = [120.0, 1e9, float(np.finfo(np.float32).max)]


@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.parametrize("then", [RuntimeError("lost"), None], ids=["failed", "not yet there"])
def test_what_another_claims_is_neither_best_nor_reported_before_the_learner_confirms_it(
    make_training, play, checkpoints, forged, then
):
    training = make_training(Games(20.0, forged, then, is_own=[True, False, True]))

    assert not play(training, 120)
    outcome = training.finish()

    assert checkpoints.best().score == 20.0
    assert (outcome.ended, outcome.deciding_mean, outcome.deciding_games) == ("stopped", None, 0)
    assert outcome.last_mean == 20.0


@pytest.mark.parametrize("forged", FORGED)
def test_cut_games_of_another_beyond_the_level_are_no_result(
    make_training, make_batch, checkpoints, reporter, forged
):
    games = Games(forged, is_own=False, cut=1)
    training = make_training(games, stop={"max_env_steps": 8})

    training.update(taken([make_batch(0)]))
    over = [training.is_over() for _ in range(2)]
    outcome = training.finish()

    assert over == [False, True]
    assert checkpoints.best() is None
    assert (outcome.last_mean, outcome.deciding_mean) == (None, None)
    assert outcome.reason.startswith("a worker reports a mean return of")
    assert reporter.messages[-1].endswith("the run ends without it.")


def test_what_another_reports_below_the_level_counts(make_training, play, checkpoints):
    training = make_training(Games(60.0, is_own=False))

    play(training, 120)

    assert checkpoints.best().score == 60.0
    assert training.finish().last_mean == 60.0


def test_what_another_claims_is_told_and_written_down_only_once_it_is_confirmed(
    make_training, play, reporter
):
    training = make_training(Games(1e9, 20.0, 104.0, 103.0, is_own=[False, True, False, True]))

    assert play(training, 120)

    assert [mean for _, mean in reporter.evaluations] == [20.0, 104.0, 103.0]
    first, *_ = reporter.messages
    assert first.startswith("player me of login eve reports a mean of 1")
    assert first.endswith("; the learner plays the same weights itself")


def test_a_worker_that_reports_too_little_keeps_no_run_from_being_solved(
    make_training, play, reporter, checkpoints
):
    games = Games(*[1.0] * 5, 104.0, 103.0, is_own=[False] * 5 + [True] * 2)
    training = make_training(games)

    assert play(training, 120)

    assert training.finish().ended == "solved"
    assert games.here == [False] * 5 + [True, False]
    (told,) = reporter.messages
    assert told.startswith("player me of login eve reports a mean of 1.0 in 4 greedy games (vers")
    assert told.endswith(
        "), and the learner's own 4 games of the same weights come to 104.0. Its environment is "
        "another one, or it reports what is not so: the learner's own games count, and from now "
        "on it plays again whatever that login has played"
    )
    assert checkpoints.best().score == 104.0


def test_after_a_contradiction_the_learner_plays_again_whatever_that_login_reports(
    make_training, play, reporter
):
    games = Games(*[1.0] * 5, 60.0, 1.0, 61.0, 1.0, 62.0, is_own=[False] * 5 + [True, False] * 3)
    training = make_training(games)

    play(training, 120)

    assert games.here[5:10] == [True, False, True, False, True]
    assert [mean for _, mean in reporter.evaluations][5:] == [60.0, 61.0, 62.0]
    assert sum("reports what is not so" in text for text in reporter.messages) == 1


def test_a_worker_that_is_right_is_looked_at_now_and_then_and_nothing_is_said(
    make_training, play, reporter
):
    games = Games(*[60.0] * 5, 61.0, 60.0, is_own=[False] * 5 + [True, False])
    training = make_training(games)

    play(training, 120)

    assert games.here[:7] == [False] * 5 + [True, False]
    assert reporter.messages == []


@pytest.mark.parametrize("said", [1.0, 1e9])
def test_another_can_neither_confirm_nor_contradict_what_the_learner_has_played(
    make_training, play, said
):
    games = Games(104.0, said, 103.0, is_own=[True, False, True])
    training = make_training(games)

    assert play(training, 120)

    assert training.finish().ended == "solved"
    assert games.here == [False, False, True]


def test_without_fresh_games_a_level_is_not_reached(make_training, play, checkpoints):
    training = make_training(Games(104.0))

    play(training, 120)
    outcome = training.finish()

    assert (outcome.ended, outcome.deciding_mean) == ("stopped", 104.0)
    assert checkpoints.best().score == 104.0
    assert checkpoints.newest().updates == 120
