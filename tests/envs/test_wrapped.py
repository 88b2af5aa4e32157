"""Wrappers of an experiment around an environment, and which of them may be applied."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import RecordVideo, TimeLimit

from tinyqueue.envs.build import make_environment, make_vector, make_vectorised
from tinyqueue.envs.describe import describe
from tinyqueue.envs.names import import_allowed
from tinyqueue.envs.wrapped import find_wrapper, may_change_rewards
from tinyqueue.errors import (
    ConfigError,
    EnvironmentFailedError,
    EnvironmentMismatchError,
    UnknownNameError,
)
from tinyqueue.evaluation.table import make_table
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.experiment.wrappers import WrapperConfig

OWN = "wrappers_of_a_user"
CLIP = {"wrapper": "gymnasium.wrappers:ClipReward", "min_reward": -1, "max_reward": 1}


class Times(gymnasium.RewardWrapper[Any, Any]):
    """Multiplies rewards."""

    def __init__(self, env: gymnasium.Env[Any, Any], by: float = 10.0) -> None:
        super().__init__(env)
        if by <= 0:
            raise ValueError("by must be positive")
        self.by = by

    def reward(self, reward: Any) -> float:
        return float(reward) * self.by


class Raises(gymnasium.RewardWrapper[Any, Any]):
    def reward(self, reward: Any) -> float:
        raise LookupError("no bonus is left")


class Nan(gymnasium.RewardWrapper[Any, Any]):
    def reward(self, reward: Any) -> float:
        return float("nan")


class Ones(gymnasium.ObservationWrapper[Any, Any, Any]):
    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = gymnasium.spaces.Box(0, 1, (5,), np.float32)

    def observation(self, observation: Any) -> Any:
        return np.ones(5, np.float32)


class Gone(gymnasium.Wrapper[Any, Any, Any, Any]):
    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        raise OSError("the table of bonuses is gone")


class Elsewhere(gymnasium.Wrapper[Any, Any, Any, Any]):
    """What the user's module only imports: another package's, which may write files."""


@pytest.fixture(autouse=True)
def module(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of the user, on this machine's list."""
    own = ModuleType(OWN)
    for written_there in (Times, Raises, Nan, Ones, Gone):
        monkeypatch.setattr(written_there, "__module__", OWN)
    for kind in (Times, Raises, Nan, Ones, Gone, RecordVideo, TimeLimit, Elsewhere):
        setattr(own, kind.__name__, kind)
    own.system = lambda command: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, OWN, own)
    monkeypatch.setattr("tinyqueue.envs.names._imported", {})
    import_allowed([OWN])


def config(*wrappers: Any, id: str = "Pendulum-v1", **others: Any) -> EnvironmentConfig:
    named = [w if isinstance(w, dict) or ":" in w else f"{OWN}:{w}" for w in wrappers]
    return EnvironmentConfig.model_validate({"id": id, "wrappers": named, **others})


def first_reward(environment: gymnasium.Env[Any, Any]) -> float:
    environment.reset(seed=0)
    return float(environment.step(np.zeros(1, np.float32))[1])


def test_wrappers_are_applied_in_order_the_first_one_innermost() -> None:
    plain = first_reward(make_environment(config()))
    assert -1 < plain < -0.1

    scaled_then_clipped = first_reward(make_environment(config("Times", CLIP)))
    clipped_then_scaled = first_reward(make_environment(config(CLIP, "Times")))

    assert scaled_then_clipped == -1.0
    assert clipped_then_scaled == plain * 10


def test_arguments_reach_the_wrapper() -> None:
    wrapper = {"wrapper": f"{OWN}:Times", "by": 3}

    ratio = first_reward(make_environment(config(wrapper))) / first_reward(
        make_environment(config())
    )

    assert ratio == pytest.approx(3)


@pytest.mark.parametrize(
    ("wrapper", "shape"),
    [
        ({"wrapper": "gymnasium.wrappers:ReshapeObservation", "shape": [3, 1]}, (3, 1)),
        ({"wrapper": "gymnasium.wrappers:FrameStackObservation", "stack_size": 2}, (2, 3)),
    ],
)
def test_the_spaces_after_the_wrappers_are_those_that_count(wrapper: Any, shape: Any) -> None:
    info = describe(config(wrapper))

    assert info.observation_space[""].shape == shape


def test_lists_are_the_arrays_that_gymnasiums_wrappers_take() -> None:
    wrapper = {
        "wrapper": "gymnasium.wrappers:RescaleAction",
        "min_action": [-0.5],
        "max_action": [0.5],
    }

    space = make_environment(config(wrapper)).action_space

    assert isinstance(space, gymnasium.spaces.Box)
    assert (space.low.tolist(), space.high.tolist()) == ([-0.5], [0.5])


def test_hiding_works_on_what_the_wrappers_show() -> None:
    kept = make_environment(config("Ones", keep=[4]))

    assert kept.observation_space.shape == (1,)


def test_a_wrapped_environment_is_never_played_in_a_form_without_the_wrappers() -> None:
    assert make_vectorised(config(id="CartPole-v1"), 2) is not None
    assert make_vectorised(config("Times", id="CartPole-v1"), 2) is None

    vector = make_vector(config("Times", id="CartPole-v1"), 2)
    vector.reset(seed=1)

    assert vector.step(np.array([0, 1]))[1].tolist() == [10.0, 10.0]


def test_a_module_that_the_machine_does_not_allow_is_not_imported() -> None:
    assert "wave" not in sys.modules

    with pytest.raises(ConfigError, match=f"MODULES={OWN},wave"):
        find_wrapper(WrapperConfig.model_validate("wave:Wave_read"))

    assert "wave" not in sys.modules


def test_a_wrapper_that_an_allowed_module_only_imports_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"name its own module: tests\.envs\.test_wrapped:Elsewhere"
    ):
        find_wrapper(WrapperConfig.model_validate(f"{OWN}:Elsewhere"))


def test_another_module_is_not_allowed_because_it_happens_to_be_imported() -> None:
    with pytest.raises(ConfigError, match="does not allow"):
        find_wrapper(WrapperConfig.model_validate("os:system"))


@pytest.mark.parametrize("name", ["system", "gymnasium.wrappers:vector"])
def test_only_a_class_of_wrappers_is_called(name: str) -> None:
    with pytest.raises(ConfigError, match=r"not a wrapper|unknown wrapper"):
        make_environment(config(name))


@pytest.mark.parametrize("name", ["gymnasium.wrappers:RecordVideo", "RecordVideo"])
def test_gymnasiums_film_writer_is_refused_by_whatever_name(name: str, tmp_path: Any) -> None:
    wrapper = name if ":" in name else f"{OWN}:{name}"
    with pytest.raises(ConfigError, match=r"it writes files.*tinyqueue record"):
        make_environment(config({"wrapper": wrapper, "video_folder": str(tmp_path / "films")}))

    assert not (tmp_path / "films").exists()


def test_gymnasiums_harmless_ones_are_applied_under_an_own_name_too() -> None:
    limited = make_environment(config({"wrapper": f"{OWN}:TimeLimit", "max_episode_steps": 1}))
    limited.reset(seed=1)

    assert limited.step(np.zeros(1, np.float32))[3] is True


@pytest.mark.parametrize(
    ("name", "meant"),
    [("gymnasium.wrappers:ClipRewards", "ClipReward"), ("Tims", "Times")],
)
def test_a_misspelt_wrapper_suggests_the_nearest(name: str, meant: str) -> None:
    with pytest.raises(UnknownNameError, match=f"did you mean '.*:{meant}'"):
        make_environment(config(name))


def test_wrong_arguments_are_told_with_wrapper_place_and_the_users_line() -> None:
    with pytest.raises(ConfigError, match=r"test_wrapped.py:\d+") as error:
        make_environment(config(CLIP, {"wrapper": f"{OWN}:Times", "by": -1}))

    assert f"the wrapper {OWN}:Times (environment.wrappers[1])" in str(error.value)
    assert "by must be positive" in str(error.value)


def test_a_constructor_that_raises_is_told_with_its_wrapper() -> None:
    with pytest.raises(EnvironmentFailedError, match=r"wrapper .*:Gone: OSError.*test_wrapped"):
        make_environment(config("Gone"))


def test_a_wrapper_that_raises_in_a_step_is_named_with_its_line() -> None:
    with pytest.raises(
        EnvironmentFailedError,
        match=r"in step 1 in slot 0, in the wrapper .*Raises: LookupError.*\(at test_wrapped.py",
    ):
        describe(config("Times", "Raises"))


def test_a_wrapper_with_impossible_values_is_named_with_its_line() -> None:
    line = Nan.reward.__code__.co_firstlineno

    with pytest.raises(EnvironmentFailedError) as error:
        describe(config("Nan"))

    assert str(error.value).startswith(f"Pendulum-v1 in {OWN}:Nan failed in step 1")
    assert f"(at test_wrapped.py:{line})" in str(error.value)


def test_games_name_the_wrapper_too() -> None:
    table = make_table(config("Raises"), 1)
    table.reset(1, 0)

    with pytest.raises(EnvironmentFailedError, match=r"in the wrapper .*Raises"):
        table.step(np.array([0]), {"": np.zeros((1, 1), np.float32)})
    table.close()


def test_evaluation_with_other_rewards_is_described_as_training_is() -> None:
    assert describe(config("Times"), evaluated=config()) == describe(config("Times"))


def test_evaluation_with_other_observations_is_refused_with_both_spaces() -> None:
    with pytest.raises(EnvironmentMismatchError, match="changes the observations") as error:
        describe(config("Times"), evaluated=config("Ones"))

    assert "'shape': [3]" in str(error.value)
    assert "'shape': [5]" in str(error.value)


def test_evaluation_with_other_bounds_of_actions_is_refused() -> None:
    scaled = {"wrapper": "gymnasium.wrappers:RescaleAction", "min_action": -9, "max_action": 9}

    with pytest.raises(EnvironmentMismatchError, match="changes the actions"):
        describe(config(), evaluated=config(scaled))


@pytest.mark.parametrize(
    ("wrappers", "may"),
    [((), False), (("Ones",), False), (("Times",), True), (("Ones", "Gone"), True)],
)
def test_wrappers_of_observations_and_actions_leave_rewards_alone(wrappers: Any, may: bool) -> None:
    assert may_change_rewards(config(*wrappers).wrappers) is may
