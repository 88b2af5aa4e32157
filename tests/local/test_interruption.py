"""What Ctrl-C and SIGTERM do."""

import signal
import threading
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from tinyqueue.local.interruption import interruptible


@pytest.fixture
def interruption():
    with interruptible() as interruption:
        yield interruption


def test_before_there_is_a_learner_ctrl_c_interrupts(interruption):
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_ctrl_c_asks_the_learner_to_stop_and_the_second_interrupts(interruption, number):
    asked = []
    with interruption.calls(lambda: asked.append(True)):
        signal.raise_signal(number)
        assert asked == [True]

        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert asked == [True]


def test_a_ctrl_c_that_asks_to_stop_is_answered_at_once(interruption):
    said, has_said = [], threading.Event()
    view = SimpleNamespace(message=lambda text: (said.append(text), has_said.set()))

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
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with interruptible():
        assert signal.getsignal(signal.SIGINT) != before[0]

    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_in_another_thread_signals_are_left_to_the_program():
    before, seen = signal.getsignal(signal.SIGINT), []

    def enter():
        with interruptible():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()

    assert seen == [before]
