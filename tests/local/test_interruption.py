"""What Ctrl-C, SIGTERM and SIGHUP do."""

import signal
import threading
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from tinyqueue.local.interruption import SIGNALS, interruptible


class Clock:
    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def interruption(clock):
    with interruptible(clock) as interruption:
        yield interruption


def test_before_there_is_a_learner_ctrl_c_interrupts(interruption):
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_asks_the_learner_to_stop_and_a_later_one_interrupts(
    interruption, clock, number
):
    asked = []
    with interruption.calls(lambda: asked.append(True)):
        signal.raise_signal(number)
        assert asked == [True]

        clock.now_s += 1.0
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert asked == [True]


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_signals_within_a_second_are_one(interruption, clock, first, second):
    asked = []
    with interruption.calls(lambda: asked.append(True)):
        signal.raise_signal(first)
        clock.now_s += 0.9
        signal.raise_signal(second)
        signal.raise_signal(first)

    assert asked == [True]


def test_while_nobody_can_be_asked_a_second_signal_does_not_cut_off_what_ends(interruption, clock):
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)

    clock.now_s += 0.5
    signal.raise_signal(signal.SIGTERM)


def test_a_stop_that_was_asked_for_too_early_is_passed_on(interruption):
    asked = []
    interruption.ask()

    with interruption.calls(lambda: asked.append(True)):
        assert asked == [True]


def test_nohup_is_respected():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_ctrl_c_that_asks_to_stop_is_answered_at_once(interruption):
    said, has_said = [], threading.Event()

    def message(text):
        said.append(text)
        has_said.set()

    view = SimpleNamespace(message=message)

    with interruption.told(view), interruption.calls(lambda: None):
        signal.raise_signal(signal.SIGINT)
        # While training goes on with its update.
        assert has_said.wait(30)

    assert said == ["stopping: a checkpoint is written first; a second Ctrl-C ends without one"]


def test_an_end_without_ctrl_c_says_nothing_of_one(interruption):
    view = SimpleNamespace(message=Mock())

    with interruption.told(view), interruption.calls(lambda: None):
        pass
    with pytest.raises(KeyboardInterrupt), interruption.told(view):
        signal.raise_signal(signal.SIGINT)

    view.message.assert_not_called()


def test_a_serial_run_asks_whether_ctrl_c_came(interruption):
    assert not interruption.take()

    signal.raise_signal(signal.SIGINT)

    assert interruption.take()


def test_the_handlers_of_before_are_put_back():
    before = [signal.getsignal(number) for number in SIGNALS]
    with interruptible():
        assert signal.getsignal(signal.SIGINT) != before[0]

    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_in_another_thread_signals_are_left_to_the_program():
    before, seen = signal.getsignal(signal.SIGINT), []

    def enter():
        with interruptible():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()

    assert seen == [before]
