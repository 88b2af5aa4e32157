"""A view whose reader, terminal or disk goes away."""

import errno
import io

import pytest
from rich.console import Console

from tinyqueue.monitor.lasting_view import LastingView
from tinyqueue.monitor.lines import LineView
from tinyqueue.monitor.live import LiveView
from tinyqueue.monitor.view import RunHeader, Snapshot

HEADER = RunHeader("pole", "CartPole-v1", "impala", "runs/pole/1", "none")


class Failing(io.StringIO):
    """A file that takes nothing, for a reason."""

    code = 0

    def write(self, text):
        if self.code:
            raise OSError(self.code, "gone")
        return super().write(text)

    def fileno(self):
        raise io.UnsupportedOperation("none")


@pytest.fixture
def file():
    return Failing()


@pytest.fixture(params=["lines", "live"])
def view(request, file):
    if request.param == "lines":
        return LastingView(LineView(file))
    return LastingView(LiveView(Console(file=file, force_terminal=True)))


def show_all(view):
    view.start(HEADER)
    view.message("a message")
    view.update(Snapshot(1.0, env_steps=100))
    view.stop()


def test_a_closed_pipe_ends_what_is_shown_once_and_is_told(view, file):
    told = []
    file.code = errno.EPIPE

    with view.tells(lambda: told.append(True)):
        show_all(view)

    assert told == [True]
    assert not view.is_due


def test_a_pipe_that_was_closed_before_is_told_at_once(view, file):
    file.code = errno.EPIPE
    view.message("nobody reads this")
    told = []

    with view.tells(lambda: told.append(True)):
        assert told == [True]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EBADF])
def test_any_other_failure_is_passed_over_and_the_next_line_is_shown(view, file, code):
    told = []
    with view.tells(lambda: told.append(True)):
        view.start(HEADER)
        file.code = code
        view.message("lost")
        view.update(Snapshot(1.0, env_steps=100))
        file.code = 0
        view.message("seen")
        view.stop()

    assert told == []
    assert "seen" in file.getvalue()
