"""Given a request, only its answer counts, and nothing that is sent piles up."""

from __future__ import annotations

import threading
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tinyqueue.bus.messages import Delivery
from tinyqueue.bus.topology import evaluation_routing_key, experience_routing_key, sender_of
from tinyqueue.errors import MessageError
from tinyqueue.evaluation.answers import Answer, NoAnswer
from tinyqueue.evaluation.inbox import ADVICE, Heard, Inbox
from tinyqueue.evaluation.wanted import Wanted
from tinyqueue.wire.evaluation_signs import SIGN_TYPE, EvaluationSign, encode_sign
from tinyqueue.wire.evaluations import EVALUATION_TYPE, EvaluationResult, encode_evaluation

GAMES, MOST_STEPS, TIMEOUT_S = 6, 50, 100.0
WANTED = Wanted("ask", "pole", "run", 12, "greedy", GAMES, TIMEOUT_S, MOST_STEPS)

Change = dict[str, Any]


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def honest(**changes: Any) -> EvaluationResult:
    values: dict[str, Any] = {
        "request": "ask",
        "experiment": "pole",
        "run": "run",
        "policy_version": 12,
        "returns": np.arange(GAMES, dtype=np.float32),
        "lengths": np.arange(1, GAMES + 1, dtype=np.int32),
        "seconds": 1.0,
        "player": "node:1",
        "actions": "greedy",
        "asked": GAMES,
        "max_steps": MOST_STEPS,
    }
    return EvaluationResult(**values | changes)


def sent(
    result: EvaluationResult, login: str = "evaluator", is_evaluators: bool = True
) -> Delivery:
    body = encode_evaluation(result)
    return Delivery(
        body, {}, result.request, EVALUATION_TYPE, login=login, is_evaluators=is_evaluators
    )


def told(
    request: str = "ask", login: str = "evaluator", is_evaluators: bool = True, run: str = "run"
) -> Delivery:
    body = encode_sign(EvaluationSign(request, "pole", run, "node:1"))
    return Delivery(body, {}, "x:0", SIGN_TYPE, login=login, is_evaluators=is_evaluators)


def waiting(wanted: Wanted | None = WANTED, clock: Clock | None = None) -> Inbox:
    inbox = Inbox("pole", "run", "learner", clock=clock or Clock())
    inbox.expect(wanted)
    return inbox


def games(count: int, value: float = 1.0, steps: int = 3) -> Change:
    """Columns of so many games; at most as many as a message may hold."""
    return {
        "returns": np.full(count, value, np.float32),
        "lengths": np.full(count, steps, np.int32),
    }


TEXTS = st.text(st.characters(codec="utf-8", categories=["L", "N"]), max_size=40)
COUNTS = st.integers(0, 2**63 - 1)
ANY_LOGIN = st.text(st.characters(categories=["L", "N"], include_characters="-_@"), max_size=20)
RETURNS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def other(values: st.SearchStrategy[Any], name: str, *right: Any) -> st.SearchStrategy[Change]:
    return values.filter(lambda value: value not in right).map(lambda value: {name: value})


# Whatever differs from the request in one thing.
DIFFERENT: st.SearchStrategy[Change] = st.one_of(
    other(TEXTS, "request", "ask"),
    other(st.from_regex("[a-z][a-z0-9-]{0,20}", fullmatch=True), "experiment", "pole"),
    other(TEXTS, "run", "run"),
    other(COUNTS, "policy_version", 12),
    st.just({"actions": "sample"}),
    other(COUNTS, "asked", GAMES),
    other(COUNTS, "cut", 0),
    st.integers(GAMES + 1, 2**63 - 1).map(lambda n: {"capped": n}),
    # No game has the length at which games end.
    st.integers(1, GAMES).map(lambda n: {"capped": n}),
    other(COUNTS, "max_steps", MOST_STEPS),
    st.integers(5 * GAMES + 6, 2**63 - 1).map(lambda n: {"failures": n}),
    st.builds(games, st.integers(1, 10_000).filter(lambda n: n != GAMES), RETURNS),
    st.builds(games, st.just(GAMES), RETURNS, st.integers(MOST_STEPS + 1, 2**31 - 1)),
)


@given(change=DIFFERENT)
def test_what_differs_from_the_request_in_one_thing_never_counts(change: Change) -> None:
    inbox = waiting()

    inbox.arrived(sent(honest(**change)))
    assert inbox.take() is None

    # The honest answer comes through behind it.
    inbox.arrived(sent(honest()))
    assert isinstance(inbox.take(), Answer)


@given(login=ANY_LOGIN, user_id=st.booleans(), change=st.one_of(st.just({}), DIFFERENT))
def test_nothing_counts_by_the_routing_key_of_players(
    login: str, user_id: bool, change: Change
) -> None:
    # Given what RabbitMQ lets a login publish without the evaluator's role
    key = experience_routing_key("pole", login)
    name, is_evaluators = sender_of(key, login if user_id else "")
    inbox = waiting()

    inbox.arrived(sent(honest(**change), name, is_evaluators))
    inbox.arrived(told(login=name, is_evaluators=is_evaluators))

    assert inbox.take() is None
    assert inbox.take_sign() is None
    assert not inbox.take_heard()


@given(login=ANY_LOGIN, value=RETURNS)
def test_what_an_evaluator_answers_counts_as_another_s(login: str, value: float) -> None:
    name, is_evaluators = sender_of(evaluation_routing_key("pole", login), login)
    inbox = waiting()

    inbox.arrived(sent(honest(**games(GAMES, value)), name, is_evaluators))

    found = inbox.take()
    assert isinstance(found, Answer)
    assert found.is_own == (name == "learner")
    mean = float(np.mean(found.result.returns, dtype=np.float64))
    assert np.isfinite(np.float32(mean))


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        # Ten thousand times the largest reward in each of three steps, and no more.
        (games(GAMES, 30_000.0), True),
        (games(GAMES, -30_001.0), False),
        (games(GAMES, 1e30), False),
        ({"seconds": TIMEOUT_S}, True),
        ({"seconds": TIMEOUT_S + 1.0}, False),
    ],
)
def test_only_a_return_and_a_time_that_can_be_count(change: Change, counts: bool) -> None:
    inbox = waiting(replace(WANTED, max_abs_reward=1.0))

    inbox.arrived(sent(honest(**change)))

    assert (inbox.take() is not None) == counts


@pytest.mark.parametrize(
    "change", [{"cut": 2}, games(GAMES - 1), games(1) | {"cut": 1}], ids=["cut", "fewer", "both"]
)
def test_games_may_be_cut_or_missing_only_once_the_time_is_over(change: Change) -> None:
    clock = Clock()
    inbox = waiting(clock=clock)

    clock.now_s = TIMEOUT_S / 2
    inbox.arrived(sent(honest(**change)))
    assert inbox.take() is None

    clock.now_s = TIMEOUT_S
    inbox.arrived(sent(honest(**change)))
    assert isinstance(inbox.take(), Answer)


def test_games_ended_at_the_limit_of_steps_count() -> None:
    inbox = waiting()
    lengths = np.array([50, 50, 7, 50, 1, 2], np.int32)

    inbox.arrived(sent(honest(lengths=lengths, capped=2, failures=7)))

    assert isinstance(inbox.take(), Answer)


@pytest.mark.parametrize("wanted", [None, replace(WANTED, asks_workers=False)])
def test_without_a_request_of_workers_nothing_counts(wanted: Wanted | None) -> None:
    inbox = waiting(wanted)

    inbox.arrived(sent(honest()))

    assert inbox.take() is None


def test_an_answer_counts_once_and_not_for_the_next_request() -> None:
    inbox = waiting()
    inbox.arrived(sent(honest()))
    inbox.arrived(sent(honest(player="late")))
    assert isinstance(inbox.take(), Answer)
    inbox.arrived(sent(honest()))
    assert inbox.take() is None

    inbox.expect(replace(WANTED, request="next"))
    inbox.arrived(sent(honest()))
    inbox.played("ask", NoAnswer("ask", "TimeOver", "late"))

    assert inbox.take() is None


def test_what_the_learner_plays_is_its_own() -> None:
    inbox = waiting()

    inbox.played("ask", honest(**games(2)))

    found = inbox.take()
    assert isinstance(found, Answer)
    assert found.is_own


def test_signs_are_of_the_present_request_and_of_logins_that_answer() -> None:
    inbox = waiting()
    inbox.arrived(told("another"))
    assert inbox.take_sign() is None
    assert inbox.take_heard()

    inbox.arrived(told())
    assert inbox.take_sign() == Heard("evaluator", "node:1")
    inbox.distrust("evaluator")
    assert inbox.take_heard()
    inbox.arrived(told())
    assert inbox.take_sign() is None
    assert not inbox.take_heard()
    inbox.arrived(told(login="second"))
    assert inbox.take_sign() == Heard("second", "node:1")

    inbox.arrived(sent(honest()))
    inbox.expect(WANTED)
    inbox.arrived(told())
    assert inbox.take_sign() == Heard("evaluator", "node:1")


def test_signs_of_another_run_are_nobody_s() -> None:
    inbox = waiting()

    inbox.arrived(told(run="of an earlier learner"))

    assert inbox.take_sign() is None
    assert not inbox.take_heard()


@pytest.mark.parametrize("is_evaluators", [True, False])
@pytest.mark.parametrize("wanted", [None, WANTED])
def test_a_flood_leaves_nothing_behind(wanted: Wanted | None, is_evaluators: bool) -> None:
    inbox = waiting(wanted)
    flood = [
        sent(honest(request="nobody", **games(10_000)), "flooder", is_evaluators),
        sent(honest(asked=10_000, **games(10_000)), "flooder", is_evaluators),
        told("nobody", "flooder", is_evaluators),
        told("ask", "flooder", is_evaluators),
    ]

    def pour(times: int) -> int:
        for _ in range(times):
            for delivery in flood:
                inbox.arrived(delivery)
        return tracemalloc.get_traced_memory()[0]

    with capture_logs() as logs:
        tracemalloc.start()
        try:
            before = pour(20)
            assert pour(500) - before < 20_000
        finally:
            tracemalloc.stop()

    assert len(logs) <= 1


@pytest.mark.parametrize("content_type", [SIGN_TYPE, EVALUATION_TYPE])
def test_what_cannot_be_read_is_told_to_the_consumer_if_it_may_evaluate(content_type: str) -> None:
    inbox = waiting()

    with pytest.raises(MessageError):
        inbox.arrived(Delivery(b"\x00", {}, "ask", content_type))
    inbox.arrived(Delivery(b"\x00", {}, "ask", content_type, is_evaluators=False))


def test_a_login_without_the_role_is_told_once_and_what_to_do() -> None:
    inbox = waiting()

    with capture_logs() as logs:
        for login in ("player", "player", "another"):
            inbox.arrived(sent(honest(), login, is_evaluators=False))

    assert [(line["login"], line["reason"]) for line in logs] == [("player", ADVICE)]


def test_a_request_has_one_answer_however_many_threads_give_it() -> None:
    inbox = waiting()
    start = threading.Barrier(8)

    def give() -> None:
        start.wait()
        for _ in range(50):
            inbox.arrived(sent(honest()))
            inbox.played("ask", honest())

    threads = [threading.Thread(target=give) for _ in range(8)]
    for thread in threads:
        thread.start()
    found = 0
    while any(thread.is_alive() for thread in threads):
        found += inbox.take() is not None
    for thread in threads:
        thread.join()
    found += inbox.take() is not None

    assert found == 1
