"""Small environments, policies without a network, and stages that play them."""

import copy
import time
from typing import Any, cast

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from onnx import TensorProto, helper
from published_tasks import broker as broker
from published_tasks import client as client
from published_tasks import learners as learners
from published_tasks import make_player as make_player
from published_tasks import player as player

from tinyqueue.data.spaces import Leaf, space_to_json
from tinyqueue.envs.describe import describe
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.player.stage import Stage
from tinyqueue.policy.runner import PolicyRunner

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


class Slow(Countdown):
    """Two milliseconds a step."""

    def step(self, action):
        time.sleep(0.002)
        return super().step(action)


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


def make_spec(name, ticks, slots, head="categorical", head_config=None, state=None, **environment):
    config = EnvironmentConfig(id=name, **environment)
    # Its trial would refuse what breaks.
    sound = {key: value for key, value in config.kwargs.items() if key != "breaks_at"}
    info = describe(config.model_copy(update={"kwargs": sound}))
    return PlaySpec(
        experiment="maze",
        run="a-run",
        environment=config,
        observation_space=space_to_json(info.observation_space),
        action_space=space_to_json(info.action_space),
        head=head,
        head_config=head_config or {},
        state=state or {},
        ticks=ticks,
        slots=slots,
        graph_sha256="0" * 64,
    )


def make_stage(played, seed=3):
    return Stage(played, user="alice", player="host:1", seed=seed)


def make_graph(played, steps=False):
    """Logits or Q values ``[0, first observed value]``; ``steps``: a state that counts ticks."""
    output = {"categorical": "output:logits", "epsilon-greedy": "output:q"}[played.head]
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
            "Concat", ["nought"] * (actions(played).n - 1) + ["scaled"], [output], axis=1
        ),
    ]
    inputs.append(helper.make_tensor_value_info("weight:scale", FLOAT, [1]))
    outputs = [helper.make_tensor_value_info(output, FLOAT, ["B", actions(played).n])]
    if steps:
        nodes.append(helper.make_node("Add", ["state:n", "one"], ["next_state:n"]))
        inputs.append(helper.make_tensor_value_info("state:n", FLOAT, ["B", 1]))
        outputs.append(helper.make_tensor_value_info("next_state:n", FLOAT, ["B", 1]))
    graph = helper.make_graph(nodes, "policy", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


def make_runner(played, version=5, env_steps=0, steps=False):
    weights = {"scale": np.ones(1, np.float32)}
    return PolicyRunner(make_graph(played, steps), weights, version, env_steps)


def actions(played) -> Leaf:
    return next(iter(played.actions.values()))


def play_batches(played, count, seed=3, **kwargs):
    opened, policy = make_stage(played, seed), make_runner(played, **kwargs)
    return [copy.deepcopy(opened.play(policy, f"task-{i}")) for i in range(count)]


@pytest.fixture
def small_environments():
    """Registers Countdown-v0, Slow-v0 and Rooms-v0."""
    gymnasium.register("Countdown-v0", cast(Any, Countdown))
    gymnasium.register("Slow-v0", cast(Any, Slow))
    gymnasium.register("Rooms-v0", cast(Any, Rooms))
    yield
    for name in ("Countdown-v0", "Slow-v0", "Rooms-v0"):
        del gymnasium.registry[name]


@pytest.fixture
def spec(small_environments):
    return make_spec


@pytest.fixture
def stage():
    return make_stage


@pytest.fixture
def graph():
    return make_graph


@pytest.fixture
def runner():
    return make_runner


@pytest.fixture
def batches():
    return play_batches
