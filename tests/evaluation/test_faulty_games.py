"""Games of environments that raise, never end, are slow, or give what is no number."""

from __future__ import annotations

import itertools
import time
from typing import Any, ClassVar, cast

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from watching import Watcher

from tinyqueue.data.spaces import Leaf
from tinyqueue.errors import EnvironmentFailedError
from tinyqueue.evaluation.games import Limits, Score, most_steps, play_games
from tinyqueue.experiment.environment import AtariConfig, EnvironmentConfig
from tinyqueue.policy.heads import Greedy

HEAD = Greedy({"": Leaf("uint8", (), n=2)}, "logits")
OBSERVATION = np.zeros(2, np.float32)
LENGTH = 10
# Steps of a sound game.


class Faulty(gymnasium.Env):
    """Games of ten steps, with reward 1 each, but for what is set on the class."""

    observation_space = spaces.Box(0, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)
    calls = itertools.count(1)
    fails_in, reward, length, step_s = "", 1.0, LENGTH, 0.0
    fails_at: ClassVar[Any] = ()

    def __init__(self, **kwargs):
        self.call("build")

    def call(self, name):
        number = next(Faulty.calls) if name == Faulty.fails_in else 0
        if (Faulty.fails_at == "always" and number) or (number and number in Faulty.fails_at):
            raise RuntimeError(f"lost the simulator in {name}")

    def reset(self, *, seed=None, options=None):
        self.call("reset")
        self.at = 0
        return OBSERVATION, {}

    def step(self, action):
        self.call("step")
        time.sleep(Faulty.step_s)
        self.at += 1
        return OBSERVATION, Faulty.reward, self.at == Faulty.length, False, {}

    def close(self):
        self.call("close")


class FaultyTogether(VectorEnv):
    """The same as one vectorised environment."""

    def __init__(self, num_envs, **kwargs):
        self.envs = [Faulty() for _ in range(num_envs)]
        self.num_envs = num_envs
        self.single_observation_space = Faulty.observation_space
        self.single_action_space = Faulty.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}

    def reset(self, *, seed=None, options=None):
        for each in self.envs:
            each.reset()
        self.over = np.zeros(self.num_envs, bool)
        return np.tile(OBSERVATION, (self.num_envs, 1)), {}

    def step(self, actions):
        rewards, over = np.zeros(self.num_envs), np.zeros(self.num_envs, bool)
        for slot, each in enumerate(self.envs):
            if self.over[slot]:
                each.reset()
            else:
                _, rewards[slot], over[slot], _, _ = each.step(0)
        self.over = over
        observed = np.tile(OBSERVATION, (self.num_envs, 1))
        return observed, rewards, over, np.zeros(self.num_envs, bool), {}

    def close(self, **kwargs):
        for each in self.envs:
            each.close()


@pytest.fixture
def faulty(monkeypatch):
    """Sets what is wrong with the environments Faulty-v0 and FaultyTogether-v0."""
    gymnasium.register("Faulty-v0", Faulty)
    gymnasium.register("FaultyTogether-v0", Faulty, vector_entry_point=cast(Any, FaultyTogether))
    monkeypatch.setattr(Faulty, "calls", itertools.count(1))

    def set_faults(**faults):
        for name, value in faults.items():
            monkeypatch.setattr(Faulty, name, value)

    yield set_faults
    del gymnasium.registry["Faulty-v0"]
    del gymnasium.registry["FaultyTogether-v0"]


def play(name="Faulty-v0", episodes=4, slots=4, limits=None, **kwargs):
    config = EnvironmentConfig(id=name)
    limits = limits or Limits(max_steps=50, timeout_s=20.0)
    watcher: Any = Watcher(2)
    return play_games(
        config, watcher, HEAD, episodes=episodes, slots=slots, seed=0, limits=limits, **kwargs
    )


def test_a_game_that_never_ends_is_ended_at_the_cap_and_counts_with_its_return(faulty):
    faulty(length=-1)

    games = play()

    assert games.returns.tolist() == [50.0] * 4
    assert games.lengths.tolist() == [50] * 4
    assert games.remarks == ["4 of 4 games were ended at 50 steps"]


def test_a_game_that_ends_at_the_cap_by_itself_was_not_ended(faulty):
    faulty(length=50)

    assert play().remarks == []


@pytest.mark.parametrize(
    ("config", "steps"),
    [
        (EnvironmentConfig(id="CartPole-v1"), 500),
        (EnvironmentConfig(id="CartPole-v1", max_episode_steps=70), 70),
        (EnvironmentConfig(id="Faulty-v0"), 10_000),
    ],
)
def test_the_cap_is_the_environments_own_limit_where_it_has_one(faulty, config, steps):
    assert most_steps(config) == steps


def test_the_cap_of_an_atari_game_follows_from_its_frames():
    pytest.importorskip("ale_py")
    config = EnvironmentConfig(id="ALE/Pong-v5", atari=AtariConfig(max_frames_per_episode=1001))

    assert most_steps(config) == 251


def test_when_the_time_is_over_games_are_ended_and_it_is_said(faulty):
    faulty(length=-1, step_s=0.001)

    games = play(limits=Limits(max_steps=10**9, timeout_s=0.2))

    assert len(set(games.returns.tolist())) == 1
    assert games.remarks == ["4 of 4 games were ended because the time was over"]


def test_games_that_were_never_begun_are_said(faulty):
    faulty(step_s=0.002)

    games = play(episodes=1000, slots=2, limits=Limits(timeout_s=0.2))

    assert 2 <= len(games.returns) < 1000
    assert games.remarks[-1] == f"{len(games.returns)} of 1,000 games were played"


@pytest.mark.parametrize("name", ["Faulty-v0", "FaultyTogether-v0"])
@pytest.mark.parametrize("fails_in", ["reset", "step", "close"])
def test_an_environment_that_fails_once_is_evaluated_all_the_same(faulty, name, fails_in):
    faulty(fails_in=fails_in, fails_at=(3,))

    games = play(name)

    assert games.returns.tolist() == [LENGTH] * 4
    assert games.failures == (0 if fails_in == "close" else 1)


def test_a_simulator_that_dies_now_and_then_is_evaluated_and_its_failures_are_counted(faulty):
    faulty(fails_in="step", fails_at=range(0, 10_000, 47))

    games = play(episodes=100, slots=25)

    assert games.returns.tolist() == [LENGTH] * 100
    assert games.failures > 10
    assert games.remarks == [
        f"the environment failed {games.failures} times in these games; such games were played "
        f"again with another seed and do not count, which may move the mean: "
        f"{games.failure}"
    ]
    assert "RuntimeError: lost the simulator in step (at test_faulty_games.py:" in games.failure


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), 1e38], ids=str)
def test_a_return_that_is_no_number_is_a_failure_of_the_environment(faulty, reward):
    faulty(reward=reward)

    with pytest.raises(EnvironmentFailedError, match=r"the reward is|NaN, infinite or too large"):
        play()


def test_what_finished_can_be_had_when_somebody_interrupts(faulty):
    def interrupt(finished):
        if finished >= 5:
            raise KeyboardInterrupt

    faulty(length=20)
    score = Score()
    with pytest.raises(KeyboardInterrupt):
        play(episodes=100, slots=3, on_progress=interrupt, score=score)

    games = score.games(with_unfinished_wave=True)
    assert games.returns.tolist() == [20.0] * 6
    assert games.asked == 100


KINDS: dict[str, dict[str, Any]] = {
    "raises always": {"fails_at": "always"},
    "raises once": {"fails_at": (2,)},
    "raises now and then": {"fails_at": range(1, 10_000, 7)},
    "never ends": {"length": -1},
    "is slow": {"step_s": 0.002, "length": 1000},
    "is no number": {"reward": float("nan")},
    "is huge": {"reward": -1e38},
}


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("name", ["Faulty-v0", "FaultyTogether-v0"])
@pytest.mark.parametrize("fails_in", ["build", "reset", "step", "close"])
@pytest.mark.parametrize("kind", KINDS)
def test_games_end_within_their_bound_with_an_answer_or_a_message(
    faulty, kind, fails_in, name, slots
):
    faulty(**{"fails_in": fails_in, "fails_at": (), **KINDS[kind]})
    start_s = time.monotonic()

    try:
        games = play(name, episodes=5, slots=slots, limits=Limits(max_steps=60, timeout_s=0.3))
    except EnvironmentFailedError as error:
        games, kind_said = None, error.kind

    if games is None:
        # A machine that is slow enough ends no game in time, whatever the kind.
        assert kind_said in ("RuntimeError", "NotFinite", "reward-not-finite", "TimeOver")
        assert kind_said != "TimeOver" or time.monotonic() - start_s >= 0.3
        assert kind_said == "TimeOver" or kind not in ("never ends", "is slow", "raises once")
    else:
        assert 1 <= len(games.returns) <= 5
        assert np.isfinite(games.returns).all()
    assert time.monotonic() - start_s < 2.0
