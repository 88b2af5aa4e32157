"""Setbacks of a run, and a clock that a test moves."""

from __future__ import annotations

import pytest

from tinyqueue.experience.setbacks import Setbacks
from tinyqueue.wire.failures import TaskFailure


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def setbacks(said: list[str], clock: Clock) -> Setbacks:
    return Setbacks(said.append, 60.0, clock)


def failure(kind: str = "OSError", text: str = "no display", player: str = "host:1") -> TaskFailure:
    return TaskFailure("t", "pole", "r", kind, text, player, "me")
