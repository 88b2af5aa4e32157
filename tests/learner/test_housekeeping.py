"""Chores: in time, again after trouble, and an end that is noticed."""

import time

import pytest
from structlog.testing import capture_logs

from tinyqueue.errors import ServiceUnreachableError
from tinyqueue.learner.housekeeping import MOST_UNEXPECTED, Chore, Housekeeping


def eventually(condition, within_s=5.0):
    deadline_s = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(0.005)
    return condition()


def test_a_chore_is_done_at_once_and_then_when_due():
    done = []
    chore = Chore("feed", 10.0, lambda: done.append(None))

    counts = []
    for now_s in (100.0, 109.9, 110.0, 110.1, 120.0):
        chore.run_if_due(now_s)
        counts.append(len(done))

    assert counts == [1, 1, 2, 2, 3]


def test_trouble_is_said_once_and_its_end_too():
    errors = [ServiceUnreachableError("away"), ServiceUnreachableError("away"), None, None]

    def do():
        if error := errors.pop(0):
            raise error

    chore = Chore("heal", 1.0, do)
    with capture_logs() as logs:
        for now_s in range(4):
            chore.run_if_due(float(now_s))

    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("will be tried again", "warning"),
        ("works again", "info"),
    ]


def test_chores_run_side_by_side_until_they_are_stopped():
    done = []
    housekeeping = Housekeeping(
        [
            Chore("often", 0.01, lambda: done.append("a")),
            Chore("once", 60, lambda: done.append("b")),
        ]
    )
    housekeeping.start()

    assert eventually(lambda: done.count("a") >= 5)
    housekeeping.stop()
    after = len(done)
    time.sleep(0.05)

    assert len(done) == after
    assert done.count("b") == 1
    assert housekeeping.error is None


def test_an_unforeseen_error_is_said_once_and_the_chore_is_tried_again():
    errors = [KeyError("odd"), ServiceUnreachableError("away"), ValueError("odd"), None]

    def do():
        if error := errors.pop(0):
            raise error

    chore = Chore("heal", 0.01, do)
    with capture_logs() as logs:
        for now_s in range(4):
            chore.run_if_due(float(now_s))
            # Not before a second has passed.
            chore.run_if_due(now_s + 0.005)

    assert errors == []
    assert [line["event"] for line in logs if line["log_level"] == "error"] == [
        "unexpected; will be tried again"
    ] * 2
    assert logs[-1]["event"] == "works again"


def test_a_defect_ends_it_after_half_a_minute_and_is_kept():
    tried = []

    def broken():
        tried.append(None)
        raise KeyError("a defect")

    chore = Chore("broken", 0.05, broken)
    with capture_logs() as logs:
        for tick in range(29 * 20):
            chore.run_if_due(tick * 0.05)
        with pytest.raises(KeyError):
            chore.run_if_due(29.0)

    assert len(tried) == MOST_UNEXPECTED == 30
    assert len(logs) == 1


def test_what_ends_the_thread_is_kept():
    class Broken(Chore):
        def run_if_due(self, now_s):
            raise KeyError("a defect")

    housekeeping = Housekeeping([Broken("broken", 0.01, lambda: None)])
    housekeeping.start()

    assert eventually(lambda: housekeeping.error is not None)
    assert isinstance(housekeeping.error, KeyError)
    housekeeping.stop()


def test_stopping_what_was_never_started_is_no_error():
    Housekeeping([Chore("feed", 1.0, lambda: None)]).stop()
