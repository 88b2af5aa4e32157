"""Evaluations by workers, and by the learner itself when none answers."""

import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from tinyqueue.bus.messages import Delivery
from tinyqueue.errors import (
    ConfigError,
    EnvironmentFailedError,
    MissingVersionError,
    ServiceUnreachableError,
)
from tinyqueue.evaluation.inbox import Inbox
from tinyqueue.evaluation.remote_games import RemoteGames
from tinyqueue.experiment.sections import EvaluationConfig
from tinyqueue.wire.evaluation_signs import SIGN_TYPE, EvaluationSign, encode_sign
from tinyqueue.wire.evaluations import EVALUATION_TYPE, EvaluationResult, encode_evaluation

WEIGHTS = SimpleNamespace(version=12)


def played(request, player="worker"):
    returns, lengths = np.ones(2, np.float32), np.ones(2, np.int32)
    ends: dict[str, Any] = {"asked": 2, "max_steps": 9}
    return EvaluationResult(request, "pole", "r", 12, returns, lengths, 0.1, player, **ends)


def result(request, player="worker", login="evaluator"):
    body = encode_evaluation(played(request, player))
    return Delivery(body, {}, request, EVALUATION_TYPE, login=login)


def sign(request, player="worker", login="evaluator"):
    body = encode_sign(EvaluationSign(request, "pole", "r", player))
    return Delivery(body, {}, f"{request}:0", SIGN_TYPE, login=login)


class Surroundings:
    def __init__(self):
        self.now_s = 1000.0
        self.pinned, self.sent, self.played, self.how = [], [], [], []
        self.pin_error = self.send_error = self.play_error = None
        self.began, self.may_end = threading.Event(), threading.Event()
        self.may_end.set()

    def pin(self, version, ttl_s):
        if self.pin_error:
            raise self.pin_error
        self.pinned.append((version, ttl_s))

    def send(self, request, version, seed, actions):
        if self.send_error:
            raise self.send_error
        self.how.append(actions)
        self.sent.append((request, version, seed))

    def play_here(self, weights, request, seed, actions, is_wanted):
        self.how.append(actions)
        self.is_wanted = is_wanted
        self.played.append((weights, request, seed))
        self.began.set()
        assert self.may_end.wait(5.0)
        if self.play_error:
            raise self.play_error
        return played(request, "learner")

    def pass_s(self, games, seconds):
        """Polls once a second; what was answered."""
        answers = []
        for _ in range(seconds):
            self.now_s += 1.0
            answers += [found for found in [games.poll()] if found]
        return answers

    @property
    def asked(self):
        return [request for request, *_ in self.sent]


@pytest.fixture
def around():
    around = Surroundings()
    yield around
    around.may_end.set()


@pytest.fixture
def make_games(around):
    def make(here_after_s=10.0):
        config = EvaluationConfig(episodes=2, here_after_s=here_after_s)
        return RemoteGames(
            config,
            Inbox("pole", "r", "learner", clock=lambda: around.now_s),
            pin=around.pin,
            send=around.send,
            play_here=around.play_here,
            clock=lambda: around.now_s,
        )

    return make


@pytest.fixture
def games(make_games):
    return make_games()


def answer(games, within_s=5.0):
    """The answer, in no time that counts as silence."""
    deadline_s = time.monotonic() + within_s
    while (found := games.poll()) is None and time.monotonic() < deadline_s:
        time.sleep(0.005)
    return found


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


def test_a_slow_worker_that_tells_of_itself_is_waited_for(games, around):
    games.request(WEIGHTS, "ask", seed=1, actions="greedy")

    for _ in range(36):
        assert around.pass_s(games, 10) == []
        games.arrived(sign("ask"))
    games.arrived(result("ask"))

    assert [found.result.player for found in around.pass_s(games, 1)] == ["worker"]
    assert around.played == []


def test_without_a_word_of_a_worker_the_learner_plays(games, around):
    games.request(WEIGHTS, "ask", seed=1, actions="greedy")

    assert around.pass_s(games, 10) == []
    assert around.played == []
    around.pass_s(games, 1)

    assert answer(games).result.player == "learner"
    assert around.played == [(WEIGHTS, "ask", 1)]


def test_games_that_a_worker_cannot_play_are_played_here_at_once(games, around):
    games.request(WEIGHTS, "ask", seed=1, actions="greedy")
    games.failed("of an earlier learner")
    assert around.pass_s(games, 1) == []
    assert around.played == []

    games.failed("ask")
    games.poll()

    assert answer(games).result.player == "learner"
    assert around.played == [(WEIGHTS, "ask", 1)]


@pytest.mark.parametrize(
    "word", [lambda games: games.failed("ask"), lambda g: g.arrived(sign("x"))]
)
def test_the_role_of_logins_is_no_advice_once_an_evaluator_was_heard_of(games, around, word):
    games.request(WEIGHTS, "ask", seed=1, actions="greedy")
    word(games)
    with capture_logs() as logs:
        for number in range(3):
            around.pass_s(games, 20)
            games.request(WEIGHTS, f"ask {number}", seed=1, actions="greedy")

    assert not [line for line in logs if "role evaluator" in line["event"]]


def test_the_role_of_logins_is_advised_once_if_nobody_is_heard_of(games, around):
    games.request(WEIGHTS, "ask", seed=1, actions="greedy")
    with capture_logs() as logs:
        for number in range(3):
            around.pass_s(games, 20)
            games.request(WEIGHTS, f"ask {number}", seed=1, actions="greedy")

    assert len([line for line in logs if "role evaluator" in line["event"]]) == 1


def test_a_worker_that_tells_no_more_is_replaced(games, around):
    games.request(WEIGHTS, "ask", seed=1, actions="greedy")
    for _ in range(20):
        games.arrived(sign("ask"))
        assert around.pass_s(games, 2) == []

    assert around.pass_s(games, 8) == []
    assert around.played == []
    around.pass_s(games, 1)

    assert answer(games).result.player == "learner"


def test_a_worker_that_plays_something_else_is_not_waited_for(games, around):
    games.request(WEIGHTS, "ask", seed=1, actions="greedy")
    for _ in range(11):
        games.arrived(sign("of an earlier learner"))
        around.pass_s(games, 1)

    assert answer(games).result.player == "learner"


def test_what_an_update_lasts_is_no_silence(games, around):
    games.request(WEIGHTS, "ask", seed=1, actions="greedy")

    # Messages wait behind the session batches of an update.
    for _ in range(10):
        around.now_s += 60.0
        assert games.poll() is None

    assert around.played == []


def test_without_workers_the_learner_plays_at_once_and_asks_ever_more_rarely(games, around):
    games.request(WEIGHTS, "0", seed=0, actions="greedy")
    around.pass_s(games, 11)
    assert answer(games).result.player == "learner"

    for number in range(1, 18):
        games.request(WEIGHTS, str(number), seed=number, actions="greedy")
        assert answer(games).result.player == "learner"

    assert [request for _, request, _ in around.played] == [str(n) for n in range(18)]
    assert around.asked == ["0", "1", "2", "4", "8", "16"]


@pytest.mark.parametrize("word", [sign, result])
def test_after_a_late_word_of_a_worker_workers_are_asked_and_waited_for_again(games, around, word):
    games.request(WEIGHTS, "first", seed=1, actions="greedy")
    around.pass_s(games, 11)
    assert answer(games).result.player == "learner"

    games.arrived(word("first"))
    games.request(WEIGHTS, "second", seed=2, actions="greedy")

    assert around.asked == ["first", "second"]
    assert around.pass_s(games, 10) == []
    games.arrived(result("second"))
    assert answer(games).result.player == "worker"
    assert [request for _, request, _ in around.played] == ["first"]


def test_a_worker_that_is_started_later_is_found(games, around):
    games.request(WEIGHTS, "first", seed=1, actions="greedy")
    around.pass_s(games, 11)
    assert answer(games).result.player == "learner"

    games.request(WEIGHTS, "second", seed=2, actions="greedy")
    games.arrived(sign("second"))
    assert answer(games).result.player == "learner"
    games.arrived(result("second"))
    games.request(WEIGHTS, "third", seed=3, actions="greedy")

    assert around.pass_s(games, 10) == []
    assert around.asked == ["first", "second", "third"]
    assert [request for _, request, _ in around.played] == ["first", "second"]


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


def test_a_worker_that_tells_for_ever_is_replaced(games, around):
    games.request(WEIGHTS, "ask", seed=1, actions="greedy")

    for _ in range(470):
        games.arrived(sign("ask"))
        assert around.pass_s(games, 2) == []
    assert around.played == []
    games.arrived(sign("ask"))
    around.pass_s(games, 1)

    assert answer(games).result.player == "learner"


def test_a_login_that_has_told_in_vain_is_heeded_again_when_it_has_answered(games, around):
    games.request(WEIGHTS, "first", seed=1, actions="greedy")
    for _ in range(470):
        games.arrived(sign("first"))
        assert around.pass_s(games, 2) == []
    around.pass_s(games, 1)
    assert answer(games).result.player == "learner"

    # Its signs are worth nothing now: workers are asked, and the learner plays at once.
    games.arrived(sign("first"))
    around.may_end.clear()
    games.request(WEIGHTS, "second", seed=2, actions="greedy")
    assert around.asked == ["first", "second"]
    assert len(around.played) == 2

    # Its answer counts, and then its signs do again.
    games.arrived(result("second"))
    assert answer(games).result.player == "worker"
    games.arrived(sign("second"))
    games.request(WEIGHTS, "third", seed=3, actions="greedy")
    assert around.asked == ["first", "second", "third"]
    assert len(around.played) == 2


def test_an_evaluation_ends_whatever_is_told_and_whatever_hangs(games, around):
    around.may_end.clear()
    games.request(WEIGHTS, "ask", seed=1, actions="greedy")

    answers = []
    for _ in range(1000):
        games.arrived(sign("ask"))
        answers += around.pass_s(games, 2)

    (given_up,) = answers
    assert given_up.kind == "TimeOver"
    assert given_up.text.startswith("the learner has not finished the games within 940 s")


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
