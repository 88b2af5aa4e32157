"""What a worker's main process learns of a process that ended in the middle of a task."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from billiard.common import human_status
from celery.exceptions import WorkerLostError
from celery.worker import state
from celery.worker.request import Request

from tinyqueue.bus.worker_request import WorkerRequest, exit_code_of, process_ended


def lost(status: int) -> WorkerLostError:
    """In billiard's words."""
    return WorkerLostError(f"Worker exited prematurely: {human_status(status)} Job: 3.")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (lost(0), 0),
        (lost(7), 7),
        (lost(-9), -9),
        (WorkerLostError("Worker exited prematurely: exitcode 3."), 3),
        (SystemExit(-241), -241),
        (SystemExit(None), 0),
        (SystemExit("no licence"), 1),
        (WorkerLostError("in other words"), None),
        (ValueError("exitcode 3"), None),
    ],
)
def test_how_a_process_ended_is_read_from_what_the_pool_says(error: object, code: int) -> None:
    assert exit_code_of(error) == code


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Fails a request, and returns in which order it was heard of and put back."""
    monkeypatch.setattr(state, "should_stop", None)
    monkeypatch.setattr(state, "should_terminate", None)
    happened: list[object] = []
    monkeypatch.setattr(Request, "on_failure", lambda *_, **__: happened.append("put back"))

    def heard(exit_code: int, **_: Any) -> None:
        happened.append(exit_code)

    def run(error: object) -> list[object]:
        request: Any = WorkerRequest.__new__(WorkerRequest)
        request._task = object()
        request.on_failure(SimpleNamespace(exception=error))
        return happened

    process_ended.connect(heard)
    yield run
    process_ended.disconnect(heard)


def test_it_is_told_before_the_task_is_put_back(fail: Any) -> None:
    assert fail(lost(-9)) == [-9, "put back"]


def test_nothing_is_told_of_a_task_that_failed_in_a_process_that_lives_on(fail: Any) -> None:
    assert fail(ValueError("no display")) == ["put back"]


def test_nothing_is_told_by_a_worker_that_ends_itself(
    fail: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "should_stop", 0)

    assert fail(lost(-15)) == ["put back"]
