"""What a trial finds out, before anything else starts."""

from __future__ import annotations

import re
import time
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from tinyqueue.data.seeds import seed32
from tinyqueue.envs.trial import SEEDS, Trial
from tinyqueue.errors import EnvironmentFailedError


class Sound(gymnasium.Env[Any, Any]):
    """Plays for ever, with nothing wrong."""

    observation_space = spaces.Box(-1, 1, (3,), np.float32)
    action_space = spaces.Discrete(2)
    reward: Any = 1.0
    steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(3, np.float32), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        return np.zeros(3, np.float32), self.reward, self.steps >= 10, False, {}


class OldReset(Sound):
    def reset(self) -> Any:  # type: ignore[override]  # as before Gymnasium 0.26
        return np.zeros(3, np.float32)


class OldStep(Sound):
    def step(self, action: Any) -> Any:
        return super().step(action)[:4]


class OnlyObservation(Sound):
    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return super().reset(seed=seed)[0]


class Raises(Sound):
    def step(self, action: Any) -> Any:
        raise OSError("the simulator has gone")


class Exits(Sound):
    def step(self, action: Any) -> Any:
        raise SystemExit(3)


class NanReward(Sound):
    reward = float("nan")


class NanObservation(Sound):
    def step(self, action: Any) -> Any:
        return np.full(3, np.nan, np.float32), 0.0, False, False, {}


class EachItsOwn(Sound):
    """Every second one sees more than the one before."""

    built = 0

    def __init__(self) -> None:
        EachItsOwn.built += 1
        self.observation_space = spaces.Box(-1, 1, (3 + EachItsOwn.built % 2,), np.float32)


class Widens(Sound):
    """Has more actions once it has been reset."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.action_space = spaces.Discrete(4)
        return super().reset(seed=seed)


class Grows(Sound):
    """Has another observation space once it has been played for a while."""

    def step(self, action: Any) -> Any:
        if self.steps == 5:
            self.observation_space = spaces.Box(-1, 1, (4,), np.float32)
        return super().step(action)


class WidensInPlace(Sound):
    """Changes the space itself."""

    def __init__(self) -> None:
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.action_space.n = np.int64(4)
        return super().reset(seed=seed)


class Unbounded(Sound):
    """Learns the bounds of what it shows from its data."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.observation_space = spaces.Box(-5, 5, (3,), np.float32)
        return super().reset(seed=seed)


class Alone(Sound):
    """A licence for one."""

    taken = False

    def __init__(self) -> None:
        if Alone.taken:
            raise RuntimeError("the licence is in use")
        Alone.taken = True

    def close(self) -> None:
        Alone.taken = False


class Rare(Sound):
    """Fails once, in the first episode of all."""

    failed = False

    def step(self, action: Any) -> Any:
        if self.steps == 5 and not Rare.failed:
            Rare.failed = True
            raise ConnectionError("lost")
        return super().step(action)


class UnluckyAtFirst(Sound):
    """Fails as often as is refused, with the first seed alone."""

    left = 3

    def step(self, action: Any) -> Any:
        if self.steps == 5 and UnluckyAtFirst.left:
            UnluckyAtFirst.left -= 1
            raise ConnectionError("lost")
        return super().step(action)


class UnluckyTwice(UnluckyAtFirst):
    """And once with the second seed."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        if seed == seed32(SEEDS[1], 0):
            UnluckyAtFirst.left = 1
        return super().reset(seed=seed)


class Masked(Sound):
    """Refuses an action that its info does not allow."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        observation, info = super().reset(seed=seed)
        return observation, {**info, "action_mask": np.array([1, 0], np.int8)}

    def step(self, action: Any) -> Any:
        if action:
            raise ValueError("not a valid action")
        observation, *values, info = super().step(action)
        return observation, *values, {**info, "action_mask": np.array([1, 0], np.int8)}


class MaskObserved(Sound):
    """Refuses an action that a part of its observation does not allow."""

    observation_space = spaces.Dict(  # type: ignore[assignment]
        {"hand": spaces.Box(-1, 1, (3,), np.float32), "action_mask": spaces.MultiBinary(2)}
    )

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self.observed(), {}

    def step(self, action: Any) -> Any:
        if action:
            raise ValueError("not a valid action")
        return self.observed(), *super().step(action)[1:]

    def observed(self) -> Any:
        return {"hand": np.zeros(3, np.float32), "action_mask": np.array([1, 0], np.int8)}


class MaskedBox(Masked):
    action_space = spaces.Box(1, 2, (1,), np.float32)  # type: ignore[assignment]


class Slow(Sound):
    def step(self, action: Any) -> Any:
        time.sleep(0.02)
        return super().step(action)


@pytest.mark.parametrize(
    ("cls", "says"),
    [
        (OldReset, r"interface older.*'seed'.*must take both arguments"),
        (OldStep, r"step returned 4 values"),
        (OnlyObservation, r"Tried-v0"),
        (Raises, r"OSError: the simulator has gone \(at test_trial\.py:\d+\)"),
        (Exits, r"SystemExit: 3"),
        (NanReward, r"step 1 in slot 0: the reward is nan"),
        (NanObservation, r"Tried-v0.*nan"),
        (Widens, r"changes its action_space to Discrete\(4\) while it plays"),
        (WidensInPlace, r"changes its action_space to Discrete\(4\) while it plays"),
        (Grows, r"changes its observation_space to Box\(.*\(4,\).* while it plays"),
        (EachItsOwn, r"observation_space is Box.*\(3,\).*slot 0 has Box.*\(4,\)"),
    ],
)
def test_what_is_wrong_is_refused_by_its_name(tried: Any, cls: type[Sound], says: str) -> None:
    with pytest.raises(EnvironmentFailedError, match=says):
        tried(cls)


def test_other_bounds_of_observations_are_borne(tried: Any) -> None:
    assert tried(Unbounded).remarks == ()


class FewLevels(Sound):
    """Has levels for small seeds only, as a person tries them."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        if seed is None or seed > 100:
            raise IndexError(f"no level {seed}")
        return super().reset(seed=seed)


def test_the_command_that_is_advised_fails_as_the_trial_did(tried: Any) -> None:
    with pytest.raises(EnvironmentFailedError, match="IndexError") as refused:
        tried(FewLevels)

    seed = re.search(r"reset\(seed=(\d+)\)", str(refused.value))
    assert seed is not None
    with pytest.raises(IndexError):
        FewLevels().reset(seed=int(seed[1]))


class Asks(Sound):
    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        raise EOFError("EOF when reading a line")


def test_what_asks_a_person_is_told_that_nobody_answers(tried: Any) -> None:
    with pytest.raises(EnvironmentFailedError, match="nobody can answer"):
        tried(Asks)


def test_a_second_that_cannot_exist_is_found_out_and_one_is_played(tried: Any) -> None:
    trial = tried(Alone)

    assert trial.slots == 1
    assert "the licence is in use" in trial.single
    assert not Alone.taken


def test_a_fault_that_does_not_come_again_is_remarked_on_and_not_refused(tried: Any) -> None:
    trial = tried(Rare)

    assert "lost" in " ".join(trial.remarks)
    assert trial.slots == 2


def test_faults_of_one_seed_alone_are_remarked_on_in_sentences(tried: Any) -> None:
    (remark,) = tried(UnluckyAtFirst).remarks

    assert "3 calls failed" in remark
    assert "wrap it. It did not happen with another seed" in remark


def test_what_happens_with_both_seeds_is_told_once(
    tried: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UnluckyAtFirst, "left", 3)

    (remark,) = tried(UnluckyTwice).remarks

    assert "1 call failed in the trial" in remark
    assert "another seed" not in remark


@pytest.mark.parametrize(
    ("cls", "mask"), [(Masked, "info:action_mask"), (MaskObserved, "action_mask")]
)
def test_a_mask_that_is_not_used_is_named_where_steps_fail(
    tried: Any, cls: type[Sound], mask: str
) -> None:
    with pytest.raises(EnvironmentFailedError) as refused:
        tried(cls)
    assert str(refused.value).endswith(f"try --set 'environment.action_mask=\"{mask}\"'")

    gymnasium.registry.pop("Tried-v0")
    assert tried(cls, action_mask=mask).remarks == ()


def test_no_mask_is_named_for_actions_that_cannot_have_one(tried: Any) -> None:
    with pytest.raises(EnvironmentFailedError) as refused:
        tried(MaskedBox)
    assert "action_mask" not in str(refused.value)


@pytest.mark.slow
def test_slow_steps_are_measured_within_seconds(tried: Any) -> None:
    began_s = time.monotonic()

    trial = tried(Slow)

    assert 0.015 < trial.step_s < 0.2  # Ticks of resets are cheap.
    assert time.monotonic() - began_s < 5


@pytest.mark.slow
@pytest.mark.parametrize("first_s", [1.5, 6.0])
def test_a_slow_first_step_is_not_taken_for_the_speed_of_all(tried: Any, first_s: float) -> None:
    """As of an environment that loads a model or is compiled when it is first stepped."""
    is_warm = [False]

    class WarmsUp(Sound):
        def step(self, action: Any) -> Any:
            if not is_warm[0]:
                is_warm[0] = True
                time.sleep(first_s)
            return super().step(action)

    trial = tried(WarmsUp)

    assert trial.step_s < 0.01
    assert trial.slowest_step_s >= first_s / 2


def test_rewards_and_lengths_of_episodes_are_measured(tried: Any) -> None:
    trial = tried(Sound)

    assert trial.rewards[1] == 1.0
    assert trial.episode_steps == pytest.approx(10, abs=3)
    assert Trial.from_json(trial.to_json()) == trial


class Growing(Sound):
    """Its observations become larger with every step."""

    observation_space = spaces.Dict(  # type: ignore[assignment]
        {
            "far": spaces.Box(-np.inf, np.inf, (2,), np.float32),
            "near": spaces.Box(0, 255, (2,), np.uint8),
        }
    )

    def _seen(self) -> dict[str, Any]:
        return {
            "far": np.array([1.0, -100.0 * self.steps], np.float32),
            "near": np.array([self.steps, 0], np.uint8),
        }

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self._seen(), {}

    def step(self, action: Any) -> Any:
        super().step(action)
        return (
            self._seen(),
            1.0,
            self.steps >= 10,
            False,
            {"at": {"x": -3 * self.steps}, "name": ""},
        )


def test_the_largest_observations_are_known(tried: Any) -> None:
    trial = tried(Growing)

    assert trial.observed == {"far": 1000.0, "near": 10.0}
    assert Trial.from_json(trial.to_json()).observed == trial.observed


def test_the_largest_numbers_of_info_are_known(tried: Any) -> None:
    trial = tried(Growing)

    assert trial.info["at/x"] == 30.0
    assert "name" not in trial.info
    assert Trial.from_json(trial.to_json()).info == trial.info
