"""What a player says of a task that it could not play."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from tinyqueue.bus.messages import Outgoing, PublishOutcome
from tinyqueue.envs.faults import failed
from tinyqueue.errors import ConfigError, ServiceUnreachableError
from tinyqueue.player.failing import FailureTeller, failure_text
from tinyqueue.wire.failures import FAILURE_TYPE, TaskFailure, decode_failure

FAILURE = TaskFailure("t", "pole", "r", "OSError", "no display", "host:1", "me")


class Publisher:
    """Takes what is published, or raises."""

    def __init__(
        self, error: Exception | None = None, outcome: PublishOutcome = PublishOutcome.CONFIRMED
    ):
        self.error, self.outcome = error, outcome
        self.published: list[Outgoing] = []

    def publish_patiently(self, outgoing: Outgoing, for_s: float) -> PublishOutcome:
        if self.error:
            raise self.error
        self.published.append(outgoing)
        return self.outcome


def teller_of(make: Callable[[], Any]) -> FailureTeller:
    return FailureTeller(make)


def raised(raise_it: Callable[[], Any]) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        raise_it()
    return caught.value


def hang() -> None:
    raise SoftTimeLimitExceeded


def lose_display() -> None:
    raise OSError("no display")


def test_a_time_limit_is_told_with_its_seconds_its_place_and_the_settings() -> None:
    kind, text = failure_text(raised(hang), 40.0)

    assert kind == "time-limit"
    assert "limit of 40 s" in text
    assert "test_failing.py:" in text
    assert "session.task_limit_s" in text


def test_a_fault_of_the_environment_is_told_in_its_own_words() -> None:
    error = failed(raised(lose_display), "Maze-v3", "reset")

    assert failure_text(error, 40.0) == ("OSError", str(error))


def test_a_refusal_of_tinyqueue_is_told_as_it_is() -> None:
    assert failure_text(ConfigError("no such module"), 40.0) == ("ConfigError", "no such module")


def test_troubles_with_a_service_are_told_apart() -> None:
    away, wrong = ServiceUnreachableError("away"), ServiceUnreachableError("no", kind="wrongpass")

    assert failure_text(away, 40.0) == ("unreachable", "away")
    assert failure_text(wrong, 40.0) == ("wrongpass", "no")


def test_what_nobody_foresaw_is_told_with_its_type_and_place() -> None:
    kind, text = failure_text(raised(lose_display), 40.0)

    assert kind == "OSError"
    assert text.startswith("OSError: no display (at test_failing.py:")


def test_a_failure_goes_to_the_learner_of_its_experiment() -> None:
    publisher = Publisher()

    teller_of(lambda: publisher).tell(FAILURE)

    (outgoing,) = publisher.published
    assert (outgoing.experiment, outgoing.content_type) == ("pole", FAILURE_TYPE)
    assert decode_failure(outgoing.body) == FAILURE


@pytest.mark.parametrize(
    "publisher",
    [Publisher(ServiceUnreachableError("away")), Publisher(outcome=PublishOutcome.FULL)],
)
def test_a_learner_that_cannot_be_told_raises_nothing(publisher: Publisher) -> None:
    teller_of(lambda: publisher).tell(FAILURE)


def test_a_broker_that_cannot_be_made_out_raises_nothing_and_is_tried_again() -> None:
    publisher, made = Publisher(), []

    def make() -> Publisher:
        made.append(1)
        if len(made) == 1:
            raise ServiceUnreachableError("away")
        return publisher

    teller = teller_of(make)
    for _ in range(3):
        teller.tell(FAILURE)

    assert (len(made), len(publisher.published)) == (2, 2)
