"""A policy for CartPole that needs no training, as an acting graph, a spec and a run on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from tinyqueue.data.spaces import Leaf, space_to_json
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.run.checkpoint import Checkpoint
from tinyqueue.run.checkpoints import Checkpoints
from tinyqueue.run.run_directory import RunDirectory
from tinyqueue.wire.weights import WeightVersion

RUN = "e" * 32
BALANCES = np.outer([0.1, 0.5, 4.0, 1.0], [-1, 1]).astype(np.float32)
"""Pushes to the side that the pole falls to: every game lasts 500 steps."""
FALLS = np.zeros((4, 2), np.float32)
"""Always pushes left: no game lasts 15 steps."""


OUTPUTS = {"categorical": "output:logits", "epsilon-greedy": "output:q"}


def graph(head: str = "categorical") -> bytes:
    """Logits, or Q values, = observation · w."""
    output = OUTPUTS[head]
    inputs = [
        helper.make_tensor_value_info("observation:", TensorProto.FLOAT, ["B", 4]),
        helper.make_tensor_value_info("weight:w", TensorProto.FLOAT, [4, 2]),
    ]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["B", 2])]
    nodes = [helper.make_node("MatMul", ["observation:", "weight:w"], [output])]
    made = helper.make_graph(nodes, "policy", inputs, outputs)
    opset = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(made, opset_imports=opset, ir_version=9).SerializeToString())


def spec(experiment: str = "pole", run: str = RUN, head: str = "categorical") -> PlaySpec:
    return PlaySpec(
        experiment=experiment,
        run=run,
        environment=EnvironmentConfig(id="CartPole-v1"),
        observation_space=space_to_json({"": Leaf("float32", (4,))}),
        action_space=space_to_json({"": Leaf("uint8", (), 2)}),
        head=head,
        ticks=8,
        slots=2,
        graph_sha256=hashlib.sha256(graph(head)).hexdigest(),
    )


def version(number: int, w: np.ndarray = BALANCES, run: str = RUN) -> WeightVersion:
    sha256 = hashlib.sha256(graph()).hexdigest()
    return WeightVersion(number, 1, run, number, 100 * number, sha256, {"w": w})


def checkpoint(
    env_steps: int, w: np.ndarray, score: float | None = None, head: str = "categorical"
) -> Checkpoint:
    return Checkpoint(
        env_steps=env_steps,
        updates=env_steps // 10,
        version=env_steps // 100,
        weights={"w": w},
        state={},
        graph=graph(head),
        spec=spec(head=head).model_dump(),
        score=score,
    )


def trained_run(root: Path, *checkpoints: Checkpoint) -> Path:
    """A run directory with these checkpoints; by default one that balances."""
    run = RunDirectory.create(root, {"name": "pole"}, {})
    folder = Checkpoints(run.path / "checkpoints", keep=9)
    for each in checkpoints or (checkpoint(1000, BALANCES),):
        folder.save(each)
    run.close()
    return run.path
