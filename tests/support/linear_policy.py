"""A linear policy as an ONNX model with its weights in it; what plays it; a file that makes it."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tinyqueue.data.spaces import Arrays, Leaf, Space, space_to_json
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.experiment.play_spec import PlaySpec

FLOAT = TensorProto.FLOAT
POLE: Space = {"": Leaf("float32", (4,))}
PUSH: Space = {"": Leaf("uint8", (), n=2)}

FILE = """
from dataclasses import dataclass
import numpy as np
from onnx import TensorProto, helper, numpy_helper
from tinyqueue.algorithms.bare import BareAlgorithm
from tinyqueue.algorithms.base import Update
from tinyqueue.policy.graphs import policy_graph

@dataclass(frozen=True)
class FixedConfig:
    push: float = 1.0

class Fixed(BareAlgorithm):
    Config = FixedConfig
    head = "categorical"

    def __init__(self, config, problem):
        self._w = np.full((problem.observations[""].size, 2), config.push, np.float32)
        node = helper.make_node("MatMul", ["observation:", "w"], ["output:logits"])
        ports = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", size])
            for name, size in (("observation:", len(self._w)), ("output:logits", 2))
        ]
        weight = numpy_helper.from_array(self._w, "w")
        graph = helper.make_graph([node], "policy", ports[:1], ports[1:], [weight])
        opsets = [helper.make_opsetid("", 18)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        self.graph = policy_graph(model, ["w"])

    def weights(self, version):
        return {"w": self._w}

    def update(self, experience, env_steps):
        return Update({})

    def state(self):
        return {"w": self._w}

    def restore(self, state):
        self._w = state["w"]
"""
"""A file with an algorithm that never learns."""


def spec_of(
    observations: Space = POLE,
    actions: Space = PUSH,
    head: str = "categorical",
    stack: int = 1,
    **state: tuple[int, ...],
) -> PlaySpec:
    """What a player would be asked to play."""
    return PlaySpec(
        experiment="pole",
        run="a-run",
        environment=EnvironmentConfig(id="CartPole-v1", stack=stack),
        observation_space=space_to_json(observations),
        action_space=space_to_json(actions),
        head=head,
        state={path: list(shape) for path, shape in state.items()},
        ticks=4,
        slots=2,
        graph_sha256="0" * 64,
    )


def linear_model(
    features: int = 4,
    actions: int = 2,
    *,
    batch: int | str = "B",
    seen: str = "observation:",
    output: str = "output:logits",
    weights: str = "w",
    hidden: int = 0,
) -> ModelProto:
    """``output = x·w``; with ``hidden`` also through a state of so many numbers, which grows."""
    nodes = [helper.make_node("MatMul", [seen, weights], [output])]
    inputs = [helper.make_tensor_value_info(seen, FLOAT, [batch, features])]
    outputs = [helper.make_tensor_value_info(output, FLOAT, [batch, actions])]
    constants: Arrays = {weights: np.ones((features, actions), np.float32)}
    if hidden:
        nodes.append(helper.make_node("Add", ["state:h", "one"], ["next_state:h"]))
        inputs.append(helper.make_tensor_value_info("state:h", FLOAT, [batch, hidden]))
        outputs.append(helper.make_tensor_value_info("next_state:h", FLOAT, [batch, hidden]))
        constants["one"] = np.ones(1, np.float32)
    values = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "policy", inputs, outputs, values, doc_string="/home/ada")
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
