"""How soon an environment that owns its clock gets its actions, measured below all wrappers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from tinyqueue.data.pace import Pace
from tinyqueue.envs.build import make_vector
from tinyqueue.envs.faults import BrokenRuleError
from tinyqueue.envs.paced import Paced, take_pace
from tinyqueue.envs.side_by_side import SideBySide
from tinyqueue.experiment.environment import EnvironmentConfig


class Live(gymnasium.Env[np.ndarray, np.int64]):
    """Two steps an episode; says ``missed`` in its info."""

    observation_space = spaces.Box(0, 1, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, missed: Any = 0) -> None:
        self.missed, self.at = missed, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.at = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: np.int64) -> Any:
        self.at += 1
        return np.zeros(1, np.float32), 0.0, self.at == 2, False, {"missed_ticks": self.missed}


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def registered() -> Iterator[None]:
    gymnasium.register("Live-v0", cast(Any, Live))
    yield
    del gymnasium.registry["Live-v0"]


def test_every_action_is_timed_from_its_observation() -> None:
    clock = Clock()
    paced = Paced(Live(missed=np.int64(3)), 0.010, clock)

    paced.reset()
    clock.now_s = 0.004
    paced.step(np.int64(0))
    clock.now_s = 0.029
    paced.step(np.int64(0))
    # The episode is over: until the next one nobody waits for an action.
    clock.now_s = 9.0
    paced.reset()
    clock.now_s = 9.002
    paced.step(np.int64(0))

    pace = paced.take_pace()
    # 4, 25 and 2 ms; the second is two whole ticks of 10 ms late.
    assert (pace.steps, pace.missed_ticks, pace.late_ticks) == (3, 9, 2)
    assert pace.p50_ms == pytest.approx(4.0)
    assert pace.p99_ms == pytest.approx(4.0 + 0.98 * 21.0)
    assert pace.worst_ms == pytest.approx(25.0)
    assert paced.take_pace() == Pace()


def test_without_a_known_tick_nothing_is_late() -> None:
    clock = Clock()
    paced = Paced(Live(), None, clock)

    paced.reset()
    clock.now_s = 60.0
    paced.step(np.int64(0))

    assert paced.take_pace() == Pace(1, 60_000.0, 60_000.0, 60_000.0, 0, 0)


@pytest.mark.parametrize("missed", [-1, float("nan"), "two", 2**40])
def test_missed_ticks_must_be_a_count(missed: Any) -> None:
    paced = Paced(Live(missed), None)
    paced.reset()

    with pytest.raises(BrokenRuleError, match='"missed_ticks"'):
        paced.step(np.int64(0))


def test_only_an_environment_with_a_clock_is_timed(registered: None) -> None:
    timed = make_vector(EnvironmentConfig(id="Live-v0", realtime=True, kwargs={"missed": 2}), 1)
    other = make_vector(EnvironmentConfig(id="Live-v0"), 1)
    assert isinstance(timed, SideBySide)
    assert isinstance(other, SideBySide)

    for vector in (timed, other):
        vector.reset(seed=1)
        for _ in range(4):
            vector.step(np.zeros(1, np.int64))

    # Steps 1 and 2, a reset, and the first step of the next episode.
    pace = timed.take_pace()
    assert pace is not None
    assert (pace.steps, pace.missed_ticks) == (3, 6)
    assert other.take_pace() is None
    assert take_pace([None]) is None


def test_an_environment_with_a_clock_is_not_vectorised() -> None:
    assert isinstance(
        make_vector(EnvironmentConfig(id="CartPole-v1", realtime=True), 1), SideBySide
    )


def test_paces_are_merged_by_their_steps() -> None:
    merged = Pace.merged([Pace(1, 1.0, 2.0, 9.0, 1, 2), Pace(3, 5.0, 6.0, 7.0, 3, 4)])

    assert merged == Pace(4, 4.0, 5.0, 9.0, 4, 6)
    assert Pace.merged([]) == Pace()
