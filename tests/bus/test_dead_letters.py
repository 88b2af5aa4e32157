"""Given a broker that is away, that refuses one letter, or that answers nothing."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from amqp.exceptions import AMQPError, FrameSyntaxError, PreconditionFailed, ResourceError

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.dead_letters import (
    KEPT_AT_ONCE,
    KEPT_PER_S,
    PATIENCE_S,
    RETRY_S,
    TRIES,
    DeadLetters,
)
from tinyqueue.bus.letter_links import Letter
from tinyqueue.bus.messages import Delivery, PublishOutcome
from tinyqueue.errors import ConfigError, ServiceUnreachableError

Answer = Callable[[Letter], PublishOutcome]


class Post:
    """Stands for the broker: what it does with a letter, and what it has kept."""

    errors: tuple[type[BaseException], ...] = (OSError, AMQPError)

    def __init__(self) -> None:
        self.kept: list[Letter] = []
        self.answer: Answer = lambda letter: PublishOutcome.CONFIRMED
        self.is_away = False
        self.connects = self.tries = 0

    def connect(self) -> Post:
        self.connects += 1
        if self.is_away:
            raise ServiceUnreachableError("connection refused")
        return self

    def put(self, letter: Letter, routing_key: str) -> PublishOutcome:
        self.tries += 1
        outcome = self.answer(letter)
        if outcome is PublishOutcome.CONFIRMED:
            self.kept.append(letter)
        return outcome

    def close(self) -> None:
        pass


@pytest.fixture
def now_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now_s = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    return now_s


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def letters(post: Post, monkeypatch: pytest.MonkeyPatch) -> DeadLetters:
    letters = DeadLetters(Broker("amqp://localhost//"), "pole", declare=True)
    monkeypatch.setattr(letters, "_connect", post.connect)
    return letters


def bad(body: bytes = b"body", name: str = "a:0") -> Delivery:
    return Delivery(body, {"ticks": 8}, name, "x", login="ann")


def raises(error: Exception) -> Answer:
    def answer(letter: Letter) -> PublishOutcome:
        raise error

    return answer


def only_short(error: Exception) -> Answer:
    def answer(letter: Letter) -> PublishOutcome:
        if letter.body:
            raise error
        return PublishOutcome.CONFIRMED

    return answer


def test_a_letter_has_a_fixed_set_of_headers(letters: DeadLetters, post: Post) -> None:
    assert letters.put(bad(), "shape")

    (kept,) = post.kept
    own = {"reason": "shape", "experiment": "pole", "login": "ann"}
    assert kept.headers == {"ticks": 8, **own}
    assert kept.properties == {"content_type": "x", "message_id": "a:0", "correlation_id": ""}


@pytest.mark.parametrize(
    "error",
    [
        FrameSyntaxError("frame_too_large", reply_code=501),
        PreconditionFailed("message size 17 is larger than 16", reply_code=406),
        ResourceError("content too large", reply_code=311),
        TypeError("no such header can be written"),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    ],
    ids=repr,
)
def test_a_letter_that_is_refused_for_itself_is_replaced_at_once_by_a_short_one(
    letters: DeadLetters, post: Post, error: Exception
) -> None:
    post.answer = only_short(error)

    assert letters.put(bad(), "shape")

    (kept,) = post.kept
    assert kept.body == b""
    assert kept.headers["reason"] == "shape"
    assert str(kept.headers["left_out"]).startswith("4 bytes")
    assert letters.dropped == 1
    assert letters.put(bad(b""), "type")
    assert letters.dropped == 1


@pytest.mark.parametrize("error", [ConnectionResetError("reset"), TimeoutError("no confirm")])
def test_a_letter_that_always_costs_the_connection_is_replaced_after_a_few_tries(
    letters: DeadLetters, post: Post, now_s: list[float], error: Exception
) -> None:
    post.answer = only_short(error)
    delivery = bad()

    for _ in range(TRIES - 1):
        assert not letters.put(delivery, "shape")
        now_s[0] += RETRY_S
    assert letters.put(delivery, "shape")

    assert (letters.dropped, len(post.kept)) == (1, 1)


def test_while_the_broker_is_away_a_letter_waits_and_nothing_is_tried_in_between(
    letters: DeadLetters, post: Post, now_s: list[float]
) -> None:
    post.is_away = True
    delivery = bad()
    for _ in range(10):
        assert not letters.put(delivery, "shape")
    assert post.connects == 1

    now_s[0] += RETRY_S
    post.is_away = False
    assert letters.put(delivery, "shape")
    assert (len(post.kept), letters.dropped) == (1, 0)


def test_a_flood_of_one_login_is_kept_in_part_and_costs_no_other_login(
    letters: DeadLetters, post: Post, now_s: list[float]
) -> None:
    # Given a login that has more set aside than anybody would read
    assert all(letters.put(bad(name=f"a:{n}"), "type") for n in range(KEPT_AT_ONCE + 50))
    assert (len(post.kept), letters.dropped) == (KEPT_AT_ONCE, 50)

    # Then another's letters are kept, and its own again after a while
    assert letters.put(Delivery(b"", {}, "b:0", "x", login="bob"), "type")
    assert post.kept[-1].headers["login"] == "bob"
    now_s[0] += 2.0
    assert all(letters.put(bad(name=f"b:{n}"), "type") for n in range(50))
    assert len(post.kept) == KEPT_AT_ONCE + 1 + 2 * KEPT_PER_S


def test_what_waits_for_the_broker_is_not_counted_at_every_try(
    letters: DeadLetters, post: Post, now_s: list[float]
) -> None:
    post.is_away = True
    waiting = bad()
    for _ in range(2 * KEPT_AT_ONCE):
        assert not letters.put(waiting, "type")

    post.is_away = False
    now_s[0] += RETRY_S
    assert letters.put(waiting, "type")
    assert (len(post.kept), letters.dropped) == (1, 0)


def test_an_idle_connection_that_was_closed_is_opened_again_at_once(
    letters: DeadLetters, post: Post
) -> None:
    assert letters.put(bad(), "shape")
    answers: list[Answer] = [raises(BrokenPipeError("reset")), lambda _: PublishOutcome.CONFIRMED]
    post.answer = lambda letter: answers.pop(0)(letter)

    assert letters.put(bad(), "shape")
    assert (post.connects, len(post.kept)) == (2, 2)


def test_after_a_minute_in_which_no_letter_could_be_put_letters_are_dropped(
    letters: DeadLetters, post: Post, now_s: list[float]
) -> None:
    post.answer = raises(TimeoutError("no confirm"))
    delivery = bad()
    began_s = now_s[0]
    while not letters.put(delivery, "shape"):
        now_s[0] += 1.0
    assert PATIENCE_S <= now_s[0] - began_s <= PATIENCE_S + RETRY_S
    # From now on none holds up anything.
    for n in range(100):
        now_s[0] += 0.1
        assert letters.put(bad(name=f"a:{n}"), "shape")
    assert letters.dropped == 101

    post.answer = lambda letter: PublishOutcome.CONFIRMED
    now_s[0] += RETRY_S
    assert letters.put(bad(), "shape")
    assert len(post.kept) == 1


def test_an_absence_of_the_whole_broker_counts_for_no_letter(
    letters: DeadLetters, post: Post, now_s: list[float]
) -> None:
    post.is_away = True
    delivery = bad()
    assert not letters.put(delivery, "shape")
    # Meanwhile the consumer has no connection either, and asks for nothing.
    now_s[0] += 10 * PATIENCE_S

    assert not letters.put(delivery, "shape")
    assert letters.dropped == 0


def test_trouble_of_long_ago_does_not_cost_the_next_letter(
    letters: DeadLetters, post: Post, now_s: list[float]
) -> None:
    post.answer = raises(TimeoutError("no confirm"))
    while not letters.put(bad(), "shape"):
        now_s[0] += 1.0
    now_s[0] += 3600.0

    delivery = bad(name="a:1")
    assert not letters.put(delivery, "shape")
    post.answer = lambda letter: PublishOutcome.CONFIRMED
    now_s[0] += RETRY_S
    assert letters.put(delivery, "shape")
    assert (letters.dropped, len(post.kept)) == (1, 1)


def test_a_queue_that_has_gone_costs_letters_and_no_learner(
    letters: DeadLetters, post: Post, now_s: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    is_there = False

    def connect() -> Post:
        if not is_there:
            raise ConfigError("there is no queue tinyqueue.dead")
        return post

    monkeypatch.setattr(letters, "_connect", connect)
    with pytest.raises(ConfigError):
        letters.check()
    began_s = now_s[0]
    delivery = bad()
    while not letters.put(delivery, "shape"):
        now_s[0] += 1.0
    assert PATIENCE_S <= now_s[0] - began_s <= PATIENCE_S + RETRY_S
    assert letters.dropped == 1

    is_there = True
    now_s[0] += RETRY_S
    assert letters.put(bad(), "shape")
    assert len(post.kept) == 1


def test_the_log_is_told_once_a_minute(
    letters: DeadLetters, post: Post, now_s: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[dict[str, object]] = []
    monkeypatch.setattr(letters._say_dropped, "_say", lambda event, **values: said.append(values))
    monkeypatch.setattr(letters._say_dropped, "_clock", lambda: now_s[0])
    post.answer = only_short(PreconditionFailed("too large", reply_code=406))

    for _ in range(121):
        assert letters.put(bad(), "shape")
        now_s[0] += 1.0

    assert [values.get("left_out") for values in said] == [None, 59, 59]
