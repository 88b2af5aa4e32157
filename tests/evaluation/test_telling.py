"""Telling the learner that games are played, past everything that may be in the way."""

import threading
import time

import pytest
from bus_ends import eventually

from tinyqueue.bus.publisher import PublishOutcome
from tinyqueue.errors import ConfigError, ServiceUnreachableError
from tinyqueue.evaluation.telling import Telling
from tinyqueue.wire.evaluation_signs import SIGN_TYPE, EvaluationSign, decode_sign

SIGN = EvaluationSign("ask", "pole", "r", "h:1")


class Publisher:
    """Answers what it was given, then CONFIRMED for ever."""

    def __init__(self, *outcomes):
        self._outcomes = list(outcomes)
        self.tried, self.pauses, self.threads = [], 0, set()

    def publish(self, outgoing):
        self.tried.append(outgoing)
        self.threads.add(threading.current_thread().name)
        outcome = self._outcomes.pop(0) if self._outcomes else PublishOutcome.CONFIRMED
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def pause_s(self):
        self.pauses += 1
        return 0.0


def telling(publisher, every_s):
    return Telling(publisher, SIGN, every_s)


def test_signs_are_told_in_a_thread_until_the_games_are_over():
    publisher = Publisher()

    with telling(publisher, every_s=0.01):
        assert eventually(lambda: len(publisher.tried) >= 3)
    told = len(publisher.tried)

    assert publisher.threads == {"telling"}
    assert not [thread for thread in threading.enumerate() if thread.name == "telling"]
    assert [decode_sign(outgoing.body) for outgoing in publisher.tried] == told * [SIGN]
    first = publisher.tried[0]
    assert (first.experiment, first.content_type) == ("pole", SIGN_TYPE)
    # A learner that has two of them in hand must not take them for the same.
    assert len({outgoing.message_id for outgoing in publisher.tried}) == told
    assert "ask" not in {outgoing.message_id for outgoing in publisher.tried}


def test_a_sign_that_meets_a_full_queue_is_offered_again_soon_under_its_id():
    publisher = Publisher(PublishOutcome.FULL, PublishOutcome.FULL)

    with telling(publisher, every_s=60.0):
        assert eventually(lambda: len(publisher.tried) == 3)

    assert publisher.pauses == 2
    assert {outgoing.message_id for outgoing in publisher.tried} == {"ask:0"}


@pytest.mark.parametrize(
    "trouble",
    [PublishOutcome.UNKNOWN, PublishOutcome.NO_LEARNER, ServiceUnreachableError("no store")],
)
def test_trouble_that_may_pass_ends_nothing(trouble):
    publisher = Publisher(trouble)

    with telling(publisher, every_s=0.01):
        assert eventually(lambda: len(publisher.tried) >= 3)

    assert [outgoing.message_id for outgoing in publisher.tried[:3]] == ["ask:0", "ask:0", "ask:1"]
    assert publisher.pauses == 0


def test_a_login_that_may_not_publish_ends_games_whose_result_nobody_would_get():
    publisher = Publisher(ConfigError("the login may not"))

    def play(moved):
        deadline_s = time.monotonic() + 5.0
        while time.monotonic() < deadline_s:
            moved(0)
            time.sleep(0.001)

    with (
        pytest.raises(ConfigError, match="the login may not"),
        telling(publisher, every_s=0.001) as told,
    ):
        play(told.moved)

    assert len(publisher.tried) == 1
