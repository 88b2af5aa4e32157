"""Evaluations by workers, and by the learner itself when none answers."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from tinyqueue.errors import ConfigError, MissingVersionError, ServiceUnreachableError
from tinyqueue.experiment.sections import EvaluationConfig
from tinyqueue.learner.remote_games import RemoteGames
from tinyqueue.wire.evaluations import EvaluationResult

WEIGHTS = SimpleNamespace(version=12)


def result(request, player="worker"):
    returns, lengths = np.ones(2, np.float32), np.ones(2, np.int32)
    return EvaluationResult(request, "pole", "r", 12, returns, lengths, 0.1, player)


class Surroundings:
    def __init__(self):
        self.pinned, self.sent, self.played = [], [], []
        self.pin_error = self.send_error = self.play_error = None

    def pin(self, version, ttl_s):
        if self.pin_error:
            raise self.pin_error
        self.pinned.append((version, ttl_s))

    def send(self, request, version, seed):
        if self.send_error:
            raise self.send_error
        self.sent.append((request, version, seed))

    def play_here(self, weights, request, seed):
        if self.play_error:
            raise self.play_error
        self.played.append((weights, request, seed))
        return result(request, "learner")


@pytest.fixture
def around():
    return Surroundings()


@pytest.fixture
def make_games(around):
    def make(here_after_s=3600.0):
        config = EvaluationConfig(here_after_s=here_after_s)
        return RemoteGames(config, pin=around.pin, send=around.send, play_here=around.play_here)

    return make


def answer(games, within_s=5.0):
    deadline_s = time.monotonic() + within_s
    while (found := games.poll()) is None and time.monotonic() < deadline_s:
        time.sleep(0.005)
    return found


def test_a_worker_is_sent_a_version_that_is_kept_for_it(make_games, around):
    games = make_games()

    games.request(WEIGHTS, "ask", seed=3)

    assert around.sent == [("ask", 12, 3)]
    assert around.pinned == [(12, 120.0)]
    assert games.poll() is None


def test_the_answer_of_a_worker_is_given_once(make_games, around):
    games = make_games()
    games.request(WEIGHTS, "ask", seed=3)

    games.arrived(result("of an earlier learner"))
    games.arrived(result("ask"))
    games.arrived(result("ask"))

    assert games.poll().request == "ask"
    assert games.poll() is None
    assert around.played == []


def test_without_an_answer_the_learner_plays_and_from_then_on_at_once(make_games, around):
    games = make_games(here_after_s=0.05)
    games.request(WEIGHTS, "first", seed=1)
    assert games.poll() is None

    assert answer(games).player == "learner"
    games.request(WEIGHTS, "second", seed=2)

    assert answer(games).request == "second"
    assert [(request, seed) for _, request, seed in around.played] == [("first", 1), ("second", 2)]
    assert [request for request, *_ in around.sent] == ["first"]


def test_a_late_answer_of_a_worker_is_as_good(make_games, around):
    games = make_games(here_after_s=0.01)
    around.play_error = None
    games.request(WEIGHTS, "ask", seed=1)

    games.arrived(result("ask", "a slow worker"))

    assert answer(games).player == "a slow worker"


def test_nobody_is_asked_when_the_learner_shall_play(make_games, around):
    games = make_games(here_after_s=0)

    games.request(WEIGHTS, "ask", seed=1)

    assert answer(games).player == "learner"
    assert around.sent == around.pinned == []


@pytest.mark.parametrize(
    "errors",
    [
        {"pin_error": MissingVersionError("gone")},
        {"send_error": ServiceUnreachableError("no broker")},
    ],
)
def test_when_nobody_can_be_asked_the_learner_plays(make_games, around, errors):
    vars(around).update(errors)
    games = make_games()

    games.request(WEIGHTS, "ask", seed=1)

    assert answer(games).player == "learner"


def test_games_that_cannot_be_played_are_said_and_not_waited_for(make_games, around):
    around.play_error = ConfigError("the environment cannot be built")
    games = make_games(here_after_s=0)
    games.request(WEIGHTS, "ask", seed=1)

    with pytest.raises(ConfigError, match="cannot be built"):
        answer(games)
