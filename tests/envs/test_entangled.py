"""Environments that share state within a process are found out; those that only seem to are not."""

from __future__ import annotations

import itertools
import random
import time
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from tinyqueue.envs.trial import try_out
from tinyqueue.experiment.environment import EnvironmentConfig


class Walk(gymnasium.Env[Any, Any]):
    """A walk to the left and right, whose place is its own."""

    observation_space = spaces.Box(-1000, 1000, (1,), np.float32)
    action_space = spaces.Discrete(2)
    episode_steps = 20
    at = 0.0
    steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        self.begin(float(self.np_random.uniform(-1, 1)))
        return self.seen(), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        self.move(1.0 if action else -1.0)
        return self.seen(), self.reward(), self.steps >= self.episode_steps, False, {}

    def begin(self, at: float) -> None:
        self.at = at

    def move(self, by: float) -> None:
        self.at += by

    def reward(self) -> float:
        return 1.0

    def seen(self) -> Any:
        return np.array([self.at], np.float32)


class OneWorld(Walk):
    """The place is the class's, as a C library with one world has it."""

    world: ClassVar[dict[str, float]] = {}

    def begin(self, at: float) -> None:
        self.world["at"] = at

    def move(self, by: float) -> None:
        self.world["at"] += by

    def seen(self) -> Any:
        return np.array([self.world["at"]], np.float32)


class OneWorldFewEnds(OneWorld):
    episode_steps = 10_000


class OneSpeed(Walk):
    """Only how fast the walk is, is shared."""

    speed: ClassVar[list[float]] = [1.0]

    def begin(self, at: float) -> None:
        self.at, self.speed[0] = at, 1.0

    def move(self, by: float) -> None:
        self.speed[0] *= 0.99
        self.at += by * self.speed[0]


class OneScore(Walk):
    """Only rewards are shared."""

    score: ClassVar[list[int]] = [0]

    def begin(self, at: float) -> None:
        self.at, self.score[0] = at, 0

    def reward(self) -> float:
        self.score[0] += 1
        return float(self.score[0])


class OneStrictWorld(OneWorld):
    """Refuses to be stepped after an episode's end."""

    episode_steps = 7

    def step(self, action: Any) -> Any:
        if self.steps >= self.episode_steps:
            raise RuntimeError("reset me first")
        return super().step(action)


class OneWorldLoadedLate(OneWorld):
    """The first reset of all takes long."""

    loaded: ClassVar[list[bool]] = [False]

    def begin(self, at: float) -> None:
        if not self.loaded[0]:
            time.sleep(0.3)
            self.loaded[0] = True
        super().begin(at)


class TwoLevelsInTurn(Walk):
    """Every other episode is of the other level."""

    games = 0
    episode_steps = 50

    def begin(self, at: float) -> None:
        self.games += 1
        self.at = at + 100 * (self.games % 2)


class MapsInTurn(Walk):
    """Begins at the next of three places that all go through."""

    episode_steps = 50
    places = itertools.cycle([0.0, 5.0, 10.0])

    def begin(self, at: float) -> None:
        self.at = at + next(self.places)


class Clocked(Walk):
    """Drifts by its own clock."""

    def begin(self, at: float) -> None:
        self.at, self.began_s = at, time.monotonic()

    def seen(self) -> Any:
        return np.array([self.at + (time.monotonic() - self.began_s) // 0.002], np.float32)


class GlobalDraws(Walk):
    """Draws from the generators of the process, which each shares with all."""

    def move(self, by: float) -> None:
        self.at += by * random.random() + float(np.random.normal())


class Noise(OneWorld):
    """Never does the same twice, so nothing can be said of it."""

    def move(self, by: float) -> None:
        super().move(by + float(np.random.default_rng().normal()))


class Learns(Walk):
    """Starts farther away in every episode, as a curriculum does."""

    episodes = 0

    def begin(self, at: float) -> None:
        self.episodes += 1
        self.at = at + self.episodes


class Falls(OneWorld):
    """Fails once a trial's steps are over, which is not for this test to tell."""

    calls: ClassVar[list[int]]

    def move(self, by: float) -> None:
        super().move(by)
        self.calls[0] += 1
        if self.calls[0] > 105:
            raise ValueError("the arm is stuck")


class Slow(OneWorld):
    """Cannot be compared in the time there is."""

    def move(self, by: float) -> None:
        super().move(by)
        time.sleep(0.06)


@pytest.mark.parametrize(
    "cls",
    [OneWorld, OneWorldFewEnds, OneStrictWorld, OneWorldLoadedLate, OneSpeed, OneScore],
)
def test_what_is_shared_is_found_out(tried: Any, cls: type[Walk]) -> None:
    trial = tried(cls)

    assert trial.entangled
    assert (trial.slots, trial.remarks) == (2, ())


@pytest.mark.parametrize(
    "cls", [Walk, TwoLevelsInTurn, MapsInTurn, Clocked, GlobalDraws, Noise, Learns, Falls, Slow]
)
def test_what_does_not_share_or_does_not_repeat_itself_is_left_alone(
    tried: Any, cls: type[Walk]
) -> None:
    Falls.calls = [0]

    trial = tried(cls)

    assert not trial.entangled
    assert trial.remarks == ()


@pytest.mark.parametrize("name", ["Blackjack-v1", "FrozenLake-v1", "Pendulum-v1"])
def test_environments_of_gymnasium_share_nothing(name: str) -> None:
    assert not try_out(EnvironmentConfig(id=name)).trial.entangled
