"""Evaluations by workers, and by the learner itself when none answers."""

import threading

import pytest
from remote_evaluations import WEIGHTS, answer, result

from tinyqueue.errors import (
    ConfigError,
    EnvironmentFailedError,
    MissingVersionError,
    ServiceUnreachableError,
)


def test_a_worker_is_sent_a_version_that_is_kept_for_it(games, around):
    games.request(WEIGHTS, "ask", seed=3, actions="greedy")

    assert around.sent == [("ask", 12, 3)]
    assert around.pinned == [(12, 130.0)]
    assert games.poll() is None


def test_the_answer_of_a_worker_is_given_once(games, around):
    games.request(WEIGHTS, "ask", seed=3, actions="greedy")

    games.arrived(result("of an earlier learner"))
    games.arrived(result("ask"))
    games.arrived(result("ask"))

    assert games.poll().request == "ask"
    assert games.poll() is None
    assert around.played == []


def test_games_that_a_worker_cannot_play_are_played_here_at_once(games, around):
    games.request(WEIGHTS, "ask", seed=1, actions="greedy")
    games.failed("of an earlier learner")
    assert around.pass_s(games, 1) == []
    assert around.played == []

    games.failed("ask")
    games.poll()

    assert answer(games).result.player == "learner"
    assert around.played == [(WEIGHTS, "ask", 1)]


def test_a_late_answer_of_a_worker_is_as_good(games, around):
    around.may_end.clear()
    games.request(WEIGHTS, "ask", seed=1, actions="greedy")
    assert around.pass_s(games, 11) == []
    assert around.began.wait(5.0)

    games.arrived(result("ask", "a slow worker"))

    assert answer(games).result.player == "a slow worker"


def test_what_the_learner_plays_too_late_is_ignored_and_so_is_its_error(games, around):
    around.may_end.clear()
    around.play_error = ConfigError("the environment cannot be built")
    games.request(WEIGHTS, "first", seed=1, actions="greedy")
    around.pass_s(games, 11)
    games.arrived(result("first"))
    assert answer(games).result.player == "worker"

    games.request(WEIGHTS, "second", seed=2, actions="greedy")
    around.may_end.set()
    for thread in threading.enumerate():
        if thread.name == "evaluation":
            thread.join(5.0)
    assert around.pass_s(games, 10) == []
    games.arrived(result("second"))

    assert answer(games).request == "second"


def test_nobody_is_asked_when_the_learner_shall_play(make_games, around):
    games = make_games(here_after_s=0)

    for request in ("first", "second"):
        games.request(WEIGHTS, request, seed=1, actions="greedy")
        assert answer(games).result.player == "learner"

    assert around.sent == around.pinned == []


@pytest.mark.parametrize(
    "errors",
    [
        {"pin_error": MissingVersionError("gone")},
        {"send_error": ServiceUnreachableError("no broker")},
    ],
)
def test_when_nobody_can_be_asked_the_learner_plays(games, around, errors):
    vars(around).update(errors)
    games.request(WEIGHTS, "ask", seed=1, actions="greedy")

    assert answer(games).result.player == "learner"

    vars(around).update(dict.fromkeys(errors))
    games.request(WEIGHTS, "again", seed=2, actions="greedy")

    assert around.pass_s(games, 10) == []
    assert around.asked == ["again"]


def test_games_that_cannot_be_played_are_an_answer_and_not_an_end(make_games, around):
    around.play_error = EnvironmentFailedError("it failed in step 3 (at snake.py:31)", kind="Snake")
    games = make_games(here_after_s=0)
    games.request(WEIGHTS, "ask", seed=1, actions="greedy")

    said = answer(games)

    assert (said.request, said.kind) == ("ask", "Snake")
    assert said.text == "it failed in step 3 (at snake.py:31)"
    assert games.poll() is None


@pytest.mark.parametrize("error", [ZeroDivisionError(), ConfigError("not built")])
def test_whatever_games_raise_is_an_answer(make_games, around, error):
    around.play_error = error
    games = make_games(here_after_s=0)
    games.request(WEIGHTS, "ask", seed=1, actions="greedy")

    assert answer(games).kind == type(error).__name__


def test_games_that_nobody_needs_any_more_end(games, around):
    around.may_end.clear()
    games.request(WEIGHTS, "first", seed=1, actions="greedy")
    around.pass_s(games, 11)
    assert around.began.wait(5.0)
    assert around.is_wanted()

    games.arrived(result("first"))
    assert answer(games).result.player == "worker"

    assert not around.is_wanted()


def test_games_that_only_the_learner_may_play_are_asked_of_nobody(games, around):
    games.request(WEIGHTS, "ask", seed=1, actions="greedy", here=True)
    games.arrived(result("ask"))

    found = answer(games)

    assert (found.result.player, found.is_own) == ("learner", True)
    assert around.sent == around.pinned == []
    # Workers are asked and waited for as before.
    games.request(WEIGHTS, "next", seed=2, actions="greedy")
    assert around.asked == ["next"]
    assert len(around.played) == 1


@pytest.mark.parametrize(("login", "is_own"), [("learner", True), ("evaluator", False)])
def test_whose_games_they_were_is_known(games, login, is_own):
    games.request(WEIGHTS, "ask", seed=1, actions="greedy")
    games.arrived(result("ask", login=login))

    assert answer(games).is_own is is_own


def test_games_that_hang_here_are_given_up_and_no_others_are_begun_beside_them(make_games, around):
    around.may_end.clear()
    games = make_games(here_after_s=0)
    games.request(WEIGHTS, "first", seed=1, actions="greedy")
    assert around.began.wait(5.0)

    (given_up,) = around.pass_s(games, 931)
    games.request(WEIGHTS, "second", seed=2, actions="greedy")
    second = answer(games)

    assert (given_up.request, given_up.kind) == ("first", "TimeOver")
    assert (second.request, second.kind) == ("second", "TimeOver")
    assert len(around.played) == 1


def test_how_actions_are_chosen_is_asked_of_workers_and_of_the_learner(games, around):
    games.request(WEIGHTS, "ask", seed=1, actions="sample")
    around.pass_s(games, 11)
    assert answer(games).result.player == "learner"

    assert around.how == ["sample", "sample"]
