"""What the processes of one worker share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest
from meanwhile import meanwhile

from tinyqueue.local import worker_wide
from tinyqueue.local.worker_wide import REFUSALS, WorkerWide


@pytest.fixture
def shared() -> WorkerWide:
    return WorkerWide()


def in_a_child(do: Callable[[], bool | None]) -> int:
    """What a forked process returns."""
    pid = os.fork()
    if pid == 0:
        os._exit(int(do() or 0))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_worker_is_of_no_use_after_refusals_of_all_its_processes_in_a_row(
    shared: WorkerWide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_wide, "REFUSING_S", 0.0)

    found = [in_a_child(shared.refused) for _ in range(REFUSALS)]

    assert found == [0] * (REFUSALS - 1) + [1]


def test_a_task_that_any_process_played_begins_the_row_anew(
    shared: WorkerWide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_wide, "REFUSING_S", 0.0)
    for _ in range(REFUSALS - 1):
        shared.refused()
    in_a_child(shared.played)

    assert not shared.refused()


def test_refusals_of_a_few_seconds_end_no_worker(shared: WorkerWide) -> None:
    assert not any(shared.refused() for _ in range(100))


def test_a_worker_that_ends_rests_no_longer_in_any_process(shared: WorkerWide) -> None:
    began_s = time.monotonic()
    with meanwhile(0.2, shared.end_rests):
        shared.rest(60)
        in_a_child(lambda: shared.rest(60))

    assert time.monotonic() - began_s < 10
