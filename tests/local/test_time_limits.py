"""Time limits that the playing process itself watches."""

from __future__ import annotations

import contextlib
import faulthandler
import inspect
import os
import signal
import subprocess
import sys
import threading
import time
from types import FrameType
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from tinyqueue.local import time_limits as limits
from tinyqueue.local.time_limits import time_limits


def test_a_task_over_its_limit_is_interrupted_out_of_a_system_call() -> None:
    began_s = time.monotonic()
    with pytest.raises(SoftTimeLimitExceeded), time_limits(0.1, 60):
        time.sleep(30)

    assert time.monotonic() - began_s < 10


def test_nothing_strikes_after_the_task() -> None:
    for _ in range(200):
        try:
            with time_limits(0.0005, 60):
                time.sleep(0.0004)
        except SoftTimeLimitExceeded:
            pass
        sum(range(1000))

    # Nor a limit that somebody else enforces.
    os.kill(os.getpid(), signal.SIGUSR1)
    time.sleep(0.01)


def test_a_task_in_another_thread_has_no_limit() -> None:
    done = []

    def play() -> None:
        with time_limits(0.01, 60):
            time.sleep(0.1)
        done.append(True)

    thread = threading.Thread(target=play)
    thread.start()
    thread.join()

    assert done


LAST_LINES = range(
    (first := inspect.getsourcelines(time_limits)[1]),
    first + len(inspect.getsourcelines(time_limits)[0]),
)


@pytest.mark.parametrize("line", LAST_LINES)
def test_a_limit_that_strikes_at_the_very_end_leaves_none_behind(
    line: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched: list[str] = []
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda *_, **__: watched.append("on"))
    monkeypatch.setattr(faulthandler, "cancel_dump_traceback_later", watched.clear)
    is_over = False

    def strike(frame: FrameType, event: str, _: object) -> Any:
        of_limits = frame.f_code.co_filename == limits.__file__
        if is_over and of_limits and event == "line" and frame.f_lineno == line:
            sys.settrace(None)
            os.kill(os.getpid(), signal.SIGUSR1)
        return strike

    others = set(threading.enumerate())
    before = sys.gettrace()
    sys.settrace(strike)
    try:
        with contextlib.suppress(SoftTimeLimitExceeded), time_limits(1000, 2000):
            is_over = True
    finally:
        sys.settrace(before)

    assert watched == []
    assert limits._armed == []
    new = set(threading.enumerate()) - others
    assert all(timer.finished.is_set() for timer in new if isinstance(timer, threading.Timer))


HANGS = """
import ctypes, sys
from tinyqueue.local.time_limits import time_limits

with time_limits(0.1, 0.5):
    # With the interpreter's lock held, so that no other thread and no handler can run.
    ctypes.PyDLL(None).sleep(60)
"""


@pytest.mark.integration
def test_a_process_that_hangs_in_c_code_is_ended_and_says_where() -> None:
    began_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 1
    assert "Timeout" in done.stderr
    assert "line 7" in done.stderr
    assert time.monotonic() - began_s < 30
