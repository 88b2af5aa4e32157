"""What a learner is told of a process that ended in the middle of a task."""

from __future__ import annotations

import pytest

from tinyqueue.player.process_end import ProcessEnd
from tinyqueue.wire.failures import ENDED, TaskFailure, decode_failure, encode_failure


def told(exit_code: int, environment: str = "Snake-v0") -> TaskFailure:
    return ProcessEnd("t", "pole", "r", "host:7:beef", exit_code).failure(environment, "me")


@pytest.mark.parametrize(
    ("exit_code", "how", "said"),
    [
        (0, "exit code 0", "ended with exit code 0 in the middle of a task in Snake-v0"),
        (1, "exit code 1", "os._exit does, or it hung until the task's hard time limit"),
        (7, "exit code 7", "ended it, as os._exit does"),
        (-9, "SIGKILL", "ended by SIGKILL in the middle of a task in Snake-v0: it ran out of mem"),
        (-11, "SIGSEGV", "native code"),
        (-241, "SIGTERM", "sent it this signal"),
        (-99, "exit code -99", "ended with exit code -99"),
    ],
)
def test_it_says_how_the_process_ended_and_in_which_environment(
    exit_code: int, how: str, said: str
) -> None:
    failure = told(exit_code)

    assert failure.kind == f"{ENDED}: {how}"
    assert said in failure.text
    assert (failure.player, failure.user, failure.ended) == ("host:7:beef", "me", False)
    assert decode_failure(encode_failure(failure)) == failure


def test_an_environment_that_nobody_knows_any_more_is_not_named() -> None:
    assert "in the middle of a task: " in told(0, "").text
