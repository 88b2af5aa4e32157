"""The stage: what it records, what goes on from batch to batch, and what it refuses."""

import copy
from itertools import pairwise

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from onnx import TensorProto, helper

from tinyqueue.data.spaces import Leaf, space_to_json
from tinyqueue.envs.describe import describe
from tinyqueue.errors import ConfigError, EnvironmentMismatchError, UnknownNameError
from tinyqueue.experiment import EnvironmentConfig, PlaySpec
from tinyqueue.player.stage import Stage
from tinyqueue.policy.heads import make_head
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.wire.contract import Contract

FLOAT, UINT8 = TensorProto.FLOAT, TensorProto.UINT8


class Countdown(gymnasium.Env):
    """Episodes of ``length`` steps; observes (episode, step), rewards the number of the step."""

    observation_space = spaces.Box(0, 1000, (2,), np.float64)
    action_space = spaces.Discrete(2)

    def __init__(self, length=4, breaks_at=0):
        self.length, self.breaks_at = length, breaks_at
        self.episode, self.at = -1, 0

    def reset(self, *, seed=None, options=None):
        self.episode, self.at = self.episode + 1, 0
        return np.array([self.episode, 0.0]), {}

    def step(self, action):
        self.at += 1
        if self.at == self.breaks_at:
            raise OSError("the joystick is gone")
        return np.array([self.episode, self.at]), self.at, self.at == self.length, False, {}


class Rooms(gymnasium.Env):
    """Dict observations, and actions that are counted from 1."""

    observation_space = spaces.Dict(
        {"at": spaces.Dict({"room": spaces.Discrete(3, start=5)}), "light": spaces.Box(0, 1, (1,))}
    )
    action_space = spaces.Discrete(2, start=1)

    def reset(self, *, seed=None, options=None):
        return {"at": {"room": 5}, "light": np.zeros(1, np.float32)}, {}

    def step(self, action):
        assert action in (1, 2)
        return {"at": {"room": 7}, "light": np.ones(1, np.float32)}, 0.0, False, False, {}


@pytest.fixture(autouse=True)
def _registered():
    gymnasium.register("Countdown-v0", Countdown)
    gymnasium.register("Rooms-v0", Rooms)
    yield
    del gymnasium.registry["Countdown-v0"], gymnasium.registry["Rooms-v0"]


def spec(name, ticks, slots, head="categorical", state=None, **environment):
    config = EnvironmentConfig(id=name, **environment)
    info = describe(config)
    return PlaySpec(
        experiment="maze",
        run="a-run",
        environment=config,
        observation_space=space_to_json(info.observation_space),
        action_space=space_to_json(info.action_space),
        head=head,
        state=state or {},
        ticks=ticks,
        slots=slots,
        graph_sha256="0" * 64,
    )


def stage(played, seed=3):
    return Stage(played, user="alice", player="host:1", seed=seed)


def runner(played, version=5, steps=False):
    """Logits ``[0, first observed value]``; with ``steps``, a state that counts its ticks."""
    nodes, inputs = [], []
    for path, leaf in played.observations.items():
        kind = {"float32": FLOAT, "uint8": UINT8, "uint16": TensorProto.UINT16}[leaf.dtype]
        shape = ["B", *leaf.shape]
        inputs.append(helper.make_tensor_value_info(f"observation:{path}", kind, shape))
    first = next(iter(played.observations))
    constants = [
        helper.make_tensor("flat", TensorProto.INT64, [2], [0, -1]),
        helper.make_tensor("begin", TensorProto.INT64, [1], [0]),
        helper.make_tensor("end", TensorProto.INT64, [1], [1]),
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        helper.make_tensor("one", FLOAT, [1], [1.0]),
        helper.make_tensor("width", TensorProto.INT64, [2], [-1, 1]),
    ]
    width = played.observations[first].shape
    nodes += [
        helper.make_node("Cast", [f"observation:{first}"], ["float"], to=FLOAT),
        helper.make_node("Reshape", ["float", "flat" if width else "width"], ["rows"]),
        helper.make_node("Slice", ["rows", "begin", "end", "axis"], ["value"]),
        helper.make_node("Mul", ["value", "weight:scale"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "scaled"], ["nought"]),
        helper.make_node(
            "Concat", ["nought"] * (actions(played).n - 1) + ["scaled"], ["output:logits"], axis=1
        ),
    ]
    inputs.append(helper.make_tensor_value_info("weight:scale", FLOAT, [1]))
    outputs = [helper.make_tensor_value_info("output:logits", FLOAT, ["B", actions(played).n])]
    if steps:
        nodes.append(helper.make_node("Add", ["state:n", "one"], ["next_state:n"]))
        inputs.append(helper.make_tensor_value_info("state:n", FLOAT, ["B", 1]))
        outputs.append(helper.make_tensor_value_info("next_state:n", FLOAT, ["B", 1]))
    graph = helper.make_graph(nodes, "policy", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return PolicyRunner(model.SerializeToString(), {"scale": np.ones(1, np.float32)}, version)


def actions(played) -> Leaf:
    return next(iter(played.actions.values()))


def contract(played):
    head = make_head(played.head, played.head_config, played.actions)
    state = {path: Leaf("float32", tuple(shape)) for path, shape in played.state.items()}
    return Contract(
        experiment=played.experiment,
        run=played.run,
        observations=played.observations,
        actions=played.actions,
        ticks=played.ticks,
        slots=played.slots,
        extras=head.extras,
        max_abs_reward=1e6,
        state=state,
    )


def batches(played, count, seed=3, **kwargs):
    opened, policy = stage(played, seed), runner(played, **kwargs)
    return [copy.deepcopy(opened.play(policy, f"task-{i}")) for i in range(count)]


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("CartPole-v1", None),
        ("CartPole-v1", 3),
        ("Acrobot-v1", 5),
        ("FrozenLake-v1", None),
        ("Taxi-v4", 9),
        ("Rooms-v0", 2),
        ("Countdown-v0", None),
    ],
)
def test_every_batch_is_what_the_learner_accepts(name, limit):
    played = spec(name, ticks=16, slots=4, max_episode_steps=limit)
    rules = contract(played)
    for batch in batches(played, 12):
        rules.check(batch)


def test_the_header_says_where_a_batch_comes_from():
    played = spec("CartPole-v1", ticks=4, slots=2)
    opened, policy = stage(played), runner(played, version=17)
    headers = [opened.play(policy, "t").header for _ in range(3)]
    assert [header.n for header in headers] == [0, 1, 2]
    assert {header.stage for header in headers} == {opened.id}
    last = headers[-1]
    assert (last.experiment, last.run, last.user, last.player) == (
        "maze",
        "a-run",
        "alice",
        "host:1",
    )
    assert (last.policy_version, last.spec_version) == (17, played.version)
    assert (last.task, last.seed) == ("t", 3)
    assert last.play_s > 0


def test_two_stages_have_different_ids():
    played = spec("CartPole-v1", ticks=4, slots=2)
    assert stage(played).id != stage(played).id


def test_a_stage_begins_with_a_true_reset():
    (batch,) = batches(spec("CartPole-v1", ticks=4, slots=8), 1)
    assert batch.valid[0].all()
    assert np.abs(batch.observations[""][0]).max() <= 0.05
    assert batch.carry["episode_steps"].tolist() == [0] * 8
    assert batch.carry["previous_reward"].tolist() == [0.0] * 8


def test_each_batch_begins_with_the_last_row_of_the_one_before():
    first, second, third = batches(spec("CartPole-v1", ticks=8, slots=4), 3)
    assert np.array_equal(second.observations[""][0], first.observations[""][-1])
    assert np.array_equal(third.observations[""][0], second.observations[""][-1])


def test_the_tick_after_an_end_is_invalid_and_leads_to_the_next_episode():
    played = spec("Countdown-v0", ticks=7, slots=1, kwargs={"length": 3})
    (batch,) = batches(played, 1)
    rows = batch.observations[""][:, 0].tolist()
    # Final observation [0, 3] stays in the stream; the tick on it resets.
    assert rows == [[0, 0], [0, 1], [0, 2], [0, 3], [1, 0], [1, 1], [1, 2], [1, 3]]
    assert batch.observations[""].dtype == np.float32
    assert batch.rewards[:, 0].tolist() == [1, 2, 3, 0, 1, 2, 3]
    assert batch.terminated[:, 0].tolist() == [False, False, True, False, False, False, True]
    assert batch.valid[:, 0].tolist() == [True, True, True, False, True, True, True]
    assert batch.episodes.returns.tolist() == [6.0, 6.0]
    assert batch.env_steps == 6


def test_an_end_on_the_last_tick_makes_the_next_batchs_first_tick_invalid():
    played = spec("Countdown-v0", ticks=4, slots=1, kwargs={"length": 4})
    first, second, third = batches(played, 3)
    assert first.terminated[:, 0].tolist() == [False, False, False, True]
    assert second.valid[:, 0].tolist() == [False, True, True, True]
    assert second.observations[""][:, 0].tolist() == [[0, 4], [1, 0], [1, 1], [1, 2], [1, 3]]
    assert len(second.episodes) == 0
    assert third.valid[:, 0].tolist() == [True, False, True, True]
    assert third.episodes.returns.tolist() == [10.0]
    assert third.episodes.lengths.tolist() == [4]


def test_the_limit_of_steps_truncates_and_does_not_terminate():
    played = spec("Countdown-v0", ticks=6, slots=1, max_episode_steps=2)
    (batch,) = batches(played, 1)
    assert batch.truncated[:, 0].tolist() == [False, True, False, False, True, False]
    assert not batch.terminated.any()
    assert batch.valid[:, 0].tolist() == [True, True, False, True, True, False]
    assert batch.episodes.lengths.tolist() == [2, 2]


def test_the_carry_is_what_came_before_tick_0():
    played = spec("Countdown-v0", ticks=3, slots=1, kwargs={"length": 4})
    carries = [batch.carry for batch in batches(played, 3)]
    # Row 0 is step 0 of the first episode, step 3, and, after the reset on tick 4, step 1.
    assert [carry["episode_steps"].tolist() for carry in carries] == [[0], [3], [1]]
    assert [carry["previous_reward"].tolist() for carry in carries] == [[0.0], [3.0], [1.0]]


def test_the_previous_action_is_nought_before_an_episodes_first_row():
    # Logits grow with the number of the episode, so action 1 is sure from the 50th on.
    played = spec("Countdown-v0", ticks=1, slots=2, kwargs={"length": 2})
    played_batches = batches(played, 3 * 60)
    for before, batch in pairwise(played_batches):
        expected = before.actions[""][0] if before.valid[0, 0] else np.zeros(2)
        assert batch.carry["previous_action"].tolist() == expected.tolist()
    carried = [batch.carry["previous_action"][0] for batch in played_batches[-3:]]
    steps = [batch.carry["episode_steps"][0] for batch in played_batches[-3:]]
    assert sorted(zip(steps, carried, strict=True)) == [(0, 0), (0, 1), (1, 1)]


def test_recurrent_state_is_nought_before_an_episodes_first_observation():
    played = spec("Countdown-v0", ticks=1, slots=1, state={"n": [1]}, kwargs={"length": 2})
    states = [batch.carry["state/n"].item() for batch in batches(played, 7, steps=True)]
    # Two ticks, the final observation's, and then the next episode's first.
    assert states == [0, 1, 2, 0, 1, 2, 0]


def test_recurrent_state_follows_each_slot_within_a_batch():
    played = spec("Countdown-v0", ticks=5, slots=2, state={"n": [1]}, kwargs={"length": 3})
    states = [batch.carry["state/n"][:, 0].tolist() for batch in batches(played, 3, steps=True)]
    assert states == [[0, 0], [1, 1], [2, 2]]


@pytest.mark.parametrize("name", ["CartPole-v1", "FrozenLake-v1"])
def test_the_same_seed_plays_the_same_session(name):
    played = spec(name, ticks=16, slots=4)
    once, again, other = (batches(played, 3, seed=seed)[-1] for seed in (1, 1, 2))
    assert np.array_equal(once.observations[""], again.observations[""])
    assert np.array_equal(once.actions[""], again.actions[""])
    assert not np.array_equal(once.actions[""], other.actions[""])


def test_discrete_observations_travel_in_the_smallest_integer():
    (taxi,) = batches(spec("Taxi-v4", ticks=4, slots=3), 1)
    assert taxi.observations[""].dtype == np.uint16
    assert taxi.observations[""].shape == (5, 3)
    assert taxi.actions[""].dtype == np.uint8


def test_a_dict_is_recorded_by_path_and_values_are_counted_from_zero():
    (batch,) = batches(spec("Rooms-v0", ticks=2, slots=3), 1)
    assert sorted(batch.observations) == ["at/room", "light"]
    assert batch.observations["at/room"].tolist() == [[0] * 3, [2] * 3, [2] * 3]
    assert batch.observations["light"][:, 0, 0].tolist() == [0.0, 1.0, 1.0]
    assert batch.actions[""].max() <= 1


def test_the_greedy_head_records_nothing():
    (batch,) = batches(spec("CartPole-v1", ticks=4, slots=2, head="greedy"), 1)
    assert batch.extras == {}


def test_an_environment_that_differs_from_the_spec_is_refused_with_both_said():
    wanted = spec("Acrobot-v1", ticks=4, slots=2)
    built = wanted.model_copy(update={"environment": EnvironmentConfig(id="MountainCar-v0")})
    with pytest.raises(EnvironmentMismatchError, match=r"MountainCar-v0 .*\[2\].*\[6\]"):
        stage(built)


def test_an_unknown_environment_is_refused_with_the_nearest():
    wanted = spec("Acrobot-v1", ticks=4, slots=2)
    built = wanted.model_copy(update={"environment": EnvironmentConfig(id="Acrobot-v3")})
    with pytest.raises(UnknownNameError, match="Acrobot-v1"):
        stage(built)


def test_continuous_actions_are_refused_where_the_head_cannot_choose_them():
    with pytest.raises(ConfigError, match="discrete"):
        stage(spec("Pendulum-v1", ticks=4, slots=2))


def test_an_interrupted_stage_plays_no_more():
    played = spec("Countdown-v0", ticks=4, slots=2, kwargs={"breaks_at": 3})
    opened, policy = stage(played), runner(played)
    assert not opened.interrupted
    with pytest.raises(OSError, match="joystick"):
        opened.play(policy, "t")
    assert opened.interrupted
    with pytest.raises(RuntimeError, match="interrupted while it played batch 0"):
        opened.play(policy, "t")
