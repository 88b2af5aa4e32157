"""Serial runs say that they wait for an environment."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from tinyqueue.catalogue import make_experiment
from tinyqueue.envs.describe import describe
from tinyqueue.local import serial
from tinyqueue.local.slow_environment import SlowEnvironment
from tinyqueue.run.run_directory import RunDirectory
from tinyqueue.settings import Settings

FIRST_S = 0.2


def waited(slow: SlowEnvironment, what: str, seconds: float) -> None:
    with slow.playing(what):
        time.sleep(seconds)


@pytest.mark.slow
def test_a_long_wait_is_told_again_and_again_but_ever_less_often() -> None:
    said: list[tuple[float, str]] = []
    begun_s = time.monotonic()
    slow = SlowEnvironment(lambda text: said.append((time.monotonic() - begun_s, text)), FIRST_S)

    with slow.watched():
        waited(slow, "32 ticks", 2.0)

    # After 0.2, 0.6 and 1.4 s, or a little later.
    assert 2 <= len(said) <= 3
    assert all("waiting for the environment" in text and "32 ticks" in text for _, text in said)
    assert said[1][0] - said[0][0] >= 2 * FIRST_S


def test_short_waits_for_one_update_are_one_wait() -> None:
    said: list[str] = []
    slow = SlowEnvironment(said.append, FIRST_S)

    with slow.watched():
        for _ in range(6):
            waited(slow, "32 ticks", FIRST_S / 3)

    assert said


@pytest.mark.slow
def test_nothing_is_told_while_updates_are_told() -> None:
    said: list[str] = []
    slow = SlowEnvironment(said.append, first_s=1.5)

    with slow.watched():
        for _ in range(5):
            waited(slow, "32 ticks", 0.4)
            slow.heard()

    assert said == []


class Slow(gymnasium.Env[Any, Any]):
    """An environment whose steps take 50 ms."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._ticks = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        time.sleep(0.05)
        self._ticks += 1
        return self.observation_space.sample(), 1.0, self._ticks >= 20, False, {}


class Spoken:
    """A view that keeps what is said."""

    is_due = False

    def __init__(self) -> None:
        self.said: list[str] = []

    def start(self, header: Any) -> None:
        pass

    def update(self, snapshot: Any) -> None:
        pass

    def message(self, text: str) -> None:
        self.said.append(text)

    def stop(self) -> None:
        pass


@pytest.fixture
def slow_steps() -> Iterator[str]:
    """Id of the slow environment."""
    gymnasium.register("Slow-v0", lambda **_: Slow())
    yield "Slow-v0"
    del gymnasium.registry["Slow-v0"]


@pytest.mark.integration
def test_a_serial_run_says_that_it_waits_for_slow_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow_steps: str
) -> None:
    # Given an environment whose session batch takes 1.6 s, as if lines were due every 0.2
    experiment = make_experiment(
        {
            "environment": {"id": slow_steps},
            "session": {"ticks": 32, "slots": 1},
            "stop": {"max_env_steps": 32, "at_return": 1000.0},
            "evaluation": {"episodes": 1, "slots": 1},
        }
    )
    monkeypatch.setattr(serial, "SlowEnvironment", lambda say: SlowEnvironment(say, FIRST_S))
    info = describe(experiment.environment)
    run = RunDirectory.create(tmp_path, experiment.document(), {})
    view = Spoken()

    # When it is trained in one process
    serial.train_serial(experiment, run, info, Settings(), view, lambda: False)

    # Then it was said for what, and how long
    assert any("s so far for session batches of 32 ticks in 1 slots" in said for said in view.said)
