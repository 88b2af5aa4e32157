"""How long a worker is waited for, by what it tells of itself, and what its word is worth."""

import pytest
from remote_evaluations import WEIGHTS, answer, result, sign
from structlog.testing import capture_logs


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


def test_the_learner_plays_at_once_what_it_will_not_wait_for(games, around):
    games.request(WEIGHTS, "ask", seed=1, actions="greedy")
    games.arrived(sign("ask"))
    assert around.pass_s(games, 1) == []

    begun = [games.play_instead() for _ in range(2)]

    assert begun == [True, False]
    assert answer(games).result.player == "learner"
    assert around.played == [(WEIGHTS, "ask", 1)]
    assert not games.play_instead()


def test_beside_a_worker_with_the_only_environment_nothing_is_played(games, around):
    games._is_single = True
    games.request(WEIGHTS, "ask", seed=1, actions="greedy")
    games.arrived(sign("ask"))
    around.pass_s(games, 1)

    assert not games.play_instead()
    assert around.played == []


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
