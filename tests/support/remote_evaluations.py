"""RemoteGames with a learner, workers and a clock that a test moves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tinyqueue.bus.messages import Delivery
from tinyqueue.evaluation.inbox import Inbox
from tinyqueue.evaluation.remote_games import RemoteGames
from tinyqueue.experiment.sections import EvaluationConfig
from tinyqueue.wire.evaluation_signs import SIGN_TYPE, EvaluationSign, encode_sign
from tinyqueue.wire.evaluations import EVALUATION_TYPE, EvaluationResult, encode_evaluation

WEIGHTS: Any = SimpleNamespace(version=12)


def played(request: str, player: str = "worker") -> EvaluationResult:
    returns, lengths = np.ones(2, np.float32), np.ones(2, np.int32)
    ends: dict[str, Any] = {"asked": 2, "max_steps": 9}
    return EvaluationResult(request, "pole", "r", 12, returns, lengths, 0.1, player, **ends)


def result(request: str, player: str = "worker", login: str = "evaluator") -> Delivery:
    body = encode_evaluation(played(request, player))
    return Delivery(body, {}, request, EVALUATION_TYPE, login=login)


def sign(request: str, player: str = "worker", login: str = "evaluator") -> Delivery:
    body = encode_sign(EvaluationSign(request, "pole", "r", player))
    return Delivery(body, {}, f"{request}:0", SIGN_TYPE, login=login)


class Surroundings:
    """The parts that RemoteGames calls, and the clock that it reads."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.pinned: list[tuple[int, float]] = []
        self.sent: list[tuple[str, int, int]] = []
        self.played: list[tuple[Any, str, int]] = []
        self.how: list[str] = []
        self.pin_error: Exception | None = None
        self.send_error: Exception | None = None
        self.play_error: Exception | None = None
        self.is_wanted: Callable[[], bool] = lambda: True
        self.began, self.may_end = threading.Event(), threading.Event()
        self.may_end.set()

    def pin(self, version: int, ttl_s: float) -> None:
        if self.pin_error:
            raise self.pin_error
        self.pinned.append((version, ttl_s))

    def send(self, request: str, version: int, seed: int, actions: str) -> None:
        if self.send_error:
            raise self.send_error
        self.how.append(actions)
        self.sent.append((request, version, seed))

    def play_here(
        self, weights: Any, request: str, seed: int, actions: str, is_wanted: Callable[[], bool]
    ) -> EvaluationResult:
        self.how.append(actions)
        self.is_wanted = is_wanted
        self.played.append((weights, request, seed))
        self.began.set()
        assert self.may_end.wait(5.0)
        if self.play_error:
            raise self.play_error
        return played(request, "learner")

    def pass_s(self, games: RemoteGames, seconds: int) -> list[Any]:
        """Polls once a second; what was answered."""
        answers = []
        for _ in range(seconds):
            self.now_s += 1.0
            answers += [found for found in [games.poll()] if found]
        return answers

    @property
    def asked(self) -> list[str]:
        return [request for request, *_ in self.sent]


@pytest.fixture
def around() -> Iterator[Surroundings]:
    around = Surroundings()
    yield around
    around.may_end.set()


@pytest.fixture
def make_games(around: Surroundings) -> Callable[..., RemoteGames]:
    def make(here_after_s: float = 10.0) -> RemoteGames:
        config = EvaluationConfig(episodes=2, here_after_s=here_after_s)
        return RemoteGames(
            config,
            Inbox("pole", "r", "learner", clock=lambda: around.now_s),
            pin=around.pin,
            send=around.send,
            play_here=around.play_here,
            clock=lambda: around.now_s,
        )

    return make


@pytest.fixture
def games(make_games: Callable[..., RemoteGames]) -> RemoteGames:
    return make_games()


def answer(games: RemoteGames, within_s: float = 5.0) -> Any:
    """The answer, in no time that counts as silence."""
    deadline_s = time.monotonic() + within_s
    while (found := games.poll()) is None and time.monotonic() < deadline_s:
        time.sleep(0.005)
    return found
