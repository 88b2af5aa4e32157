"""What a player needs for the example environment that owns its clock, and has no network."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from tinyqueue.data.spaces import Leaf, space_to_json
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.wire.weights import WeightVersion

FOLDER = Path(__file__).parents[2] / "examples" / "environments"
"""Of the module ``chase``, which registers Chase-v0."""
RUN = "f" * 32
FOLLOWS = np.array([[40, 0, -40], [-40, 0, 40], [0, 0, 0]], np.float32)
"""Weights of a policy that moves towards the dot."""


def graph() -> bytes:
    """Logits = observation · w."""
    inputs = [
        helper.make_tensor_value_info("observation:", TensorProto.FLOAT, ["B", 3]),
        helper.make_tensor_value_info("weight:w", TensorProto.FLOAT, [3, 3]),
    ]
    outputs = [helper.make_tensor_value_info("output:logits", TensorProto.FLOAT, ["B", 3])]
    nodes = [helper.make_node("MatMul", ["observation:", "weight:w"], ["output:logits"])]
    made = helper.make_graph(nodes, "policy", inputs, outputs)
    opset = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(made, opset_imports=opset, ir_version=9).SerializeToString())


def environment(hz: float = 20.0, **kwargs: Any) -> EnvironmentConfig:
    """Ticks of an episode and the like in ``kwargs``."""
    return EnvironmentConfig(
        id="Chase-v0", realtime=True, tick_s=1 / hz, kwargs={"hz": hz, **kwargs}
    )


def spec(batch: int = 8, **kwargs: Any) -> PlaySpec:
    return PlaySpec(
        experiment="chase",
        run=RUN,
        environment=environment(**kwargs),
        observation_space=space_to_json({"": Leaf("float32", (3,), low=-1.0, high=1.0)}),
        action_space=space_to_json({"": Leaf("uint8", (), 3)}),
        head="categorical",
        ticks=batch,
        slots=1,
        graph_sha256=hashlib.sha256(graph()).hexdigest(),
    )


def version(number: int) -> WeightVersion:
    sha256 = hashlib.sha256(graph()).hexdigest()
    return WeightVersion(number, 1, RUN, number, 100 * number, sha256, {"w": FOLLOWS})
