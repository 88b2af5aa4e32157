"""Session batches of an experiment named pole."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from failing_tasks import clock as clock
from failing_tasks import said as said
from failing_tasks import setbacks as setbacks
from meanwhile import meanwhile
from pole import contract as contract
from pole import make_batch as make_batch
from pole import make_experiment_of as make_experiment_of


@pytest.fixture
def slow_signal() -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Calls a function while a signal comes in whose handler takes half a second."""
    before = signal.signal(signal.SIGUSR1, lambda number, frame: time.sleep(0.5))

    def call(function: Callable[[], Any]) -> Any:
        # To the main thread, as the kernel sends what a shell or a service manager sends.
        main = threading.main_thread().ident or 0
        with meanwhile(0.05, signal.pthread_kill, main, signal.SIGUSR1):
            return function()

    yield call
    signal.signal(signal.SIGUSR1, before)
