"""Sessions that a class of the user's own plays: its inputs, its actions, and who may name it."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, cast

import gymnasium
import numpy as np
import pytest
from masked import Doors

from tinyqueue.algorithms.registry import find
from tinyqueue.data.spaces import space_to_json
from tinyqueue.envs.names import import_allowed
from tinyqueue.envs.spaces import Layout, action_layout
from tinyqueue.errors import ConfigError, EnvironmentFailedError, UnknownNameError
from tinyqueue.experiment.experiment import Experiment, parse_experiment
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.experiment.scripted import ScriptedConfig
from tinyqueue.models.mlp import MlpConfig
from tinyqueue.player.scripted import find_policy
from tinyqueue.player.stage import Stage
from tinyqueue.policy.heads.uniform import Uniform
from tinyqueue.policy.spec_contract import contract_of
from tinyqueue.wire.conformance import Conformance
from tinyqueue.wire.recorded import Recorded
from tinyqueue.wire.sessions import SESSION_TYPE, encode_session

MODULE = "scripted_rules"


class Balance:
    """Pushes to where the pole falls, or with ``side=0`` to where it does not."""

    def __init__(self, seen: Any, acted: Any, slots: int, seed: int, *, side: int = 1) -> None:
        self.built = (seen, acted, slots, seed)
        self.side = side
        self.calls: list[tuple[Any, Any]] = []
        LAST.append(self)

    def act(self, observations: Any, is_first: Any) -> Any:
        self.calls.append((observations, is_first))
        falls = observations[:, 2] + observations[:, 3] > 0
        return np.where(falls, self.side, 1 - self.side)


LAST: list[Any] = []


class Raises(Balance):
    def act(self, observations: Any, is_first: Any) -> Any:
        return 1 // 0


class Wrong(Balance):
    def act(self, observations: Any, is_first: Any) -> Any:
        return np.full(len(is_first), 2)


class Few(Balance):
    def act(self, observations: Any, is_first: Any) -> Any:
        return np.zeros(1, int)


class Bare:
    pass


class Ignored:
    """A runner that must not be asked."""

    version, env_steps, uses_previous = 7, 1000, False

    def run(self, *_: Any) -> Any:
        raise AssertionError("the graph was run")


@pytest.fixture(autouse=True)
def rules(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A user's module, on this machine's list."""
    module = ModuleType(MODULE)
    for found in (Balance, Raises, Wrong, Few, Bare):
        monkeypatch.setattr(found, "__module__", MODULE)
        setattr(module, found.__name__, found)
    module.Box = gymnasium.spaces.Box  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, MODULE, module)
    monkeypatch.setattr("tinyqueue.envs.names._imported", {})
    LAST.clear()
    return module


def spec_of(
    policy: Any, id: str = "CartPole-v1", environment: Any = None, **others: Any
) -> PlaySpec:
    environment = environment or {}
    made = gymnasium.make(id, **environment.get("kwargs", {}))
    box = isinstance(made.action_space, gymnasium.spaces.Box)
    return PlaySpec.model_validate(
        {
            "experiment": "pole",
            "run": "c" * 32,
            "environment": {"id": id, **environment},
            "observation_space": space_to_json(Layout(made.observation_space, "").space),
            "action_space": space_to_json(action_layout(made.action_space, "").space),
            "head": "squashed" if box else "epsilon-greedy",
            "head_config": {} if box else {"schedule": "annealed", "steps": 100},
            "ticks": 16,
            "slots": 3,
            "graph_sha256": "0" * 64,
            "policy": policy,
            **others,
        }
    )


def stage_of(policy: Any, *args: Any, **others: Any) -> Stage:
    spec = spec_of(policy, *args, **others)
    return Stage(spec, user="rack", player="host:1", seed=5, modules=[MODULE])


def test_what_it_plays_conforms_and_is_what_it_chose() -> None:
    stage = stage_of({"policy": f"{MODULE}:Balance", "side": 0})
    spec = stage._spec
    checks = Conformance(contract_of(spec, needs_carry=True), spec.version)

    ends = 0
    for n in range(30):
        batch = stage.play(Ignored(), "t1")
        encoded = encode_session(batch)
        properties = {
            "content_type": SESSION_TYPE,
            "message_id": batch.header.batch_id,
            "correlation_id": "t1",
            "user_id": "rack",
        }
        checks.check(Recorded(properties, encoded.headers, encoded.body))
        calls = LAST[0].calls[16 * n :]
        for tick, (observations, is_first) in enumerate(calls):
            np.testing.assert_array_equal(observations, batch.observations[""][tick])
            wanted = observations[:, 2] + observations[:, 3] <= 0
            np.testing.assert_array_equal(batch.actions[""][tick], wanted)
            assert is_first.shape == (3,)
        ends += int((batch.terminated | batch.truncated).sum())
        assert batch.extras == {}
        assert batch.header.policy_version == 7
        assert batch.header.epsilons == ()
    # One first row for each slot, and one after each end whose reset has been played.
    firsts = sum(int(is_first.sum()) for _, is_first in LAST[0].calls)
    resets = int((~batch.valid[-1]).sum())
    assert ends > 0
    last = int((batch.terminated | batch.truncated)[-1].sum())
    assert firsts == 3 + ends - last - resets


def test_it_gets_its_spaces_slots_a_seed_and_its_arguments() -> None:
    stage_of({"policy": f"{MODULE}:Balance", "side": 0})

    seen, acted, slots, seed = LAST[0].built
    assert seen == gymnasium.make("CartPole-v1").observation_space
    assert acted == gymnasium.spaces.Discrete(2)
    assert (slots, LAST[0].side) == (3, 0)
    assert isinstance(seed, int)


def test_actions_of_a_box_are_in_the_environments_units_and_travel_in_the_policys(
    rules: ModuleType,
) -> None:
    class Torque(Balance):
        def act(self, observations: Any, is_first: Any) -> Any:
            return np.array([[1.0], [-2.0], [5.0]])

    Torque.__module__ = MODULE
    rules.Torque = Torque  # type: ignore[attr-defined]
    batch = stage_of(f"{MODULE}:Torque", "Pendulum-v1").play(Ignored(), "t1")

    np.testing.assert_array_equal(batch.actions[""][0], [[0.5], [-1.0], [1.0]])
    assert batch.actions[""].dtype == np.float32


def test_a_stack_of_frames_is_for_the_network_alone() -> None:
    stage = stage_of(f"{MODULE}:Balance", environment={"stack": 4})

    stage.play(Ignored(), "t1")

    assert LAST[0].calls[0][0].shape == (3, 4)


def test_a_recurrent_state_stays_zero() -> None:
    stage = stage_of(f"{MODULE}:Balance", state={"h": [8]})

    for _ in range(2):
        batch = stage.play(Ignored(), "t1")
        assert not batch.carry["state/h"].any()


def test_a_head_that_is_asked_for_plays_instead() -> None:
    class Network(Ignored):
        def run(self, *_: Any) -> Any:
            return {}, {}

    spec = spec_of(f"{MODULE}:Balance")
    stage = Stage(
        spec, user="rack", player="host:1", seed=5, modules=[MODULE], head=Uniform(spec.actions)
    )
    stage.play(Network(), "t1")

    assert not LAST


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Raises", "ZeroDivisionError"),
        ("Wrong", "not whole numbers of the action space's values"),
        ("Few", r"of shape \(1,\), not \(3,\)"),
    ],
)
def test_what_it_does_wrong_is_told_with_the_setting(name: str, said: str) -> None:
    stage = stage_of(f"{MODULE}:{name}")

    with pytest.raises(EnvironmentFailedError, match=f"session.policy {MODULE}:{name} .*{said}"):
        stage.play(Ignored(), "t1")


def test_only_what_this_machine_lists_is_found() -> None:
    config = ScriptedConfig.model_validate(f"{MODULE}:Balance")
    with pytest.raises(ConfigError, match=f"TINYQUEUE_ENVIRONMENT_MODULES={MODULE}"):
        find_policy(config)
    import_allowed([MODULE])
    assert find_policy(config) is Balance

    with pytest.raises(UnknownNameError, match="Balance"):
        find_policy(ScriptedConfig.model_validate(f"{MODULE}:Balanse"))
    for other in ("Bare", "Box"):
        with pytest.raises(ConfigError, match="method act"):
            find_policy(ScriptedConfig.model_validate(f"{MODULE}:{other}"))


def test_a_stage_of_a_machine_that_does_not_list_it_is_not_opened() -> None:
    spec = spec_of(f"{MODULE}:Balance")

    with pytest.raises(ConfigError, match=r"session\.policy = .*TINYQUEUE_ENVIRONMENT_MODULES"):
        Stage(spec, user="rack", player="host:1", seed=5)


def test_it_is_given_the_action_mask_of_an_environment_that_has_one(rules: ModuleType) -> None:
    class First(Balance):
        def act(self, observations: Any, is_first: Any, *action_mask: Any) -> Any:
            self.calls.append((observations, action_mask[0]))
            return action_mask[0].argmax(axis=1)

    First.__module__ = MODULE
    rules.First = First  # type: ignore[attr-defined]
    gymnasium.register("Doors-v0", cast(Any, Doors))
    try:
        masked = {"kwargs": {"where": "info"}, "action_mask": "info:action_mask"}
        stage = stage_of(f"{MODULE}:First", "Doors-v0", masked)
        batch = stage.play(Ignored(), "t1")
    finally:
        del gymnasium.registry["Doors-v0"]

    masks = batch.extras["action_mask"]
    np.testing.assert_array_equal(LAST[0].calls[3][1], masks[3])
    np.testing.assert_array_equal(batch.actions[""], masks[:-1].argmax(axis=-1))


def experiment(algorithm: str, **session: Any) -> Experiment:
    document = {
        "environment": {"id": "CartPole-v1"},
        "algorithm": {"name": algorithm},
        "session": {"policy": f"{MODULE}:Balance", **session},
    }
    return parse_experiment(
        document, algorithms={algorithm: find(algorithm).Config}, models={"mlp": MlpConfig}
    )


def test_algorithms_without_a_replay_refuse_it() -> None:
    for algorithm in ("impala", "a3c", "ppo"):
        with pytest.raises(ConfigError, match=r"session\.policy = .* an algorithm with a replay"):
            experiment(algorithm)
    assert experiment("dqn").document()["session"]["policy"] == f"{MODULE}:Balance"
    with pytest.raises(ConfigError, match="Remove one of them"):
        experiment("sac", record_entropy=True)
