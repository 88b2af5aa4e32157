from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from onnx import TensorProto, helper

from tinyqueue.data.spaces import Arrays
from tinyqueue.errors import ConfigError
from tinyqueue.policy.runner import INITIALIZERS_FROM_BYTES, PolicyRunner

X = np.arange(8, dtype=np.float32).reshape(2, 4)


def affine(width: int, *, external: bool) -> bytes:
    """``output:logits = observation: @ kernel + bias``; ``next_state:h = state:h + output``."""
    shapes = {"weight:dense/kernel": (4, width), "weight:dense/bias": (width,)}
    inputs = [
        helper.make_tensor_value_info("observation:", TensorProto.FLOAT, ("B", 4)),
        helper.make_tensor_value_info("state:h", TensorProto.FLOAT, ("B", width)),
    ]
    initializers = []
    for name, shape in shapes.items():
        if external:
            tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="weights")
            initializers.append(tensor)
        else:
            inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    nodes = [
        helper.make_node("MatMul", ["observation:", "weight:dense/kernel"], ["product"]),
        helper.make_node("Add", ["product", "weight:dense/bias"], ["output:logits"]),
        helper.make_node("Add", ["state:h", "output:logits"], ["next_state:h"]),
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ("B", width))
        for name in ("output:logits", "next_state:h")
    ]
    graph = helper.make_graph(nodes, "affine", inputs, outputs, initializers)
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString()


def affine_weights(width: int, seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    return {
        "dense/kernel": rng.normal(size=(4, width)).astype(np.float32),
        "dense/bias": rng.normal(size=width).astype(np.float32),
    }


@pytest.fixture(params=[3, 70_000], ids=["weights-as-inputs", "weights-as-initializers"])
def width(request: pytest.FixtureRequest) -> int:
    """Outputs of the policy: 60 bytes of weights, or 1.4 MB."""
    return int(request.param)


def runner_of(width: int, seed: int = 0) -> PolicyRunner:
    weights = affine_weights(width, seed)
    size = sum(a.nbytes for a in weights.values())
    return PolicyRunner(affine(width, external=size >= INITIALIZERS_FROM_BYTES), weights, seed)


def expected(width: int, seed: int, x: np.ndarray = X) -> np.ndarray:
    weights = affine_weights(width, seed)
    return x @ weights["dense/kernel"] + weights["dense/bias"]


def state(width: int, slots: int = 2) -> Arrays:
    return {"h": np.ones((slots, width), np.float32)}


def test_a_run_gives_outputs_and_next_state_by_path(width: int) -> None:
    outputs, after = runner_of(width).run({"": X}, state(width))
    np.testing.assert_allclose(outputs["logits"], expected(width, 0), atol=1e-5)
    np.testing.assert_allclose(after["h"], expected(width, 0) + 1, atol=1e-5)


def test_the_next_state_can_be_fed_straight_back(width: int) -> None:
    runner = runner_of(width)
    _, after = runner.run({"": X}, state(width))
    _, after = runner.run({"": X}, after)
    np.testing.assert_allclose(after["h"], 2 * expected(width, 0) + 1, atol=1e-4)


def test_other_weights_make_another_runner_and_leave_the_first_alone(width: int) -> None:
    first = runner_of(width)
    first.run({"": X}, state(width))
    second = first.with_weights(affine_weights(width, 9), 9)
    assert (first.version, second.version) == (0, 9)
    outputs, _ = second.run({"": X}, state(width))
    np.testing.assert_allclose(outputs["logits"], expected(width, 9), atol=1e-5)
    outputs, _ = first.run({"": X}, state(width))
    np.testing.assert_allclose(outputs["logits"], expected(width, 0), atol=1e-5)


def test_the_number_of_slots_may_change(width: int) -> None:
    runner = runner_of(width)
    runner.run({"": X}, state(width))
    outputs, _ = runner.run({"": X[:1]}, state(width, 1))
    np.testing.assert_allclose(outputs["logits"], expected(width, 0, X[:1]), atol=1e-5)


def test_read_only_and_strided_weights_serve(width: int) -> None:
    weights = {k: np.asfortranarray(v) for k, v in affine_weights(width, 4).items()}
    for array in weights.values():
        array.flags.writeable = False
    outputs, _ = runner_of(width).with_weights(weights, 4).run({"": X}, state(width))
    np.testing.assert_allclose(outputs["logits"], expected(width, 4), atol=1e-5)


def test_float64_observations_are_taken_as_float32(width: int) -> None:
    outputs, _ = runner_of(width).run({"": X.astype(np.float64)}, state(width))
    np.testing.assert_allclose(outputs["logits"], expected(width, 0), atol=1e-5)


def test_the_graph_tells_the_shape_of_its_state(width: int) -> None:
    assert runner_of(width).state_shapes == {"h": (width,)}


@pytest.mark.parametrize(
    "change",
    [
        lambda w: w.pop("dense/bias"),
        lambda w: w.update({"dense/bias": np.zeros(2, np.float32)}),
        lambda w: w.update({"extra": np.zeros(2, np.float32)}),
    ],
    ids=["missing", "shape", "extra"],
)
def test_weights_of_another_graph_are_refused(change: Callable[[Arrays], object]) -> None:
    weights = affine_weights(3, 0)
    change(weights)
    with pytest.raises(ConfigError, match="dense/bias"):
        runner_of(3).with_weights(weights, 1)


def test_large_weights_of_another_graph_are_refused() -> None:
    weights = affine_weights(70_000, 0)
    weights["other"] = weights.pop("dense/bias")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        runner_of(70_000).with_weights(weights, 1)


def test_bytes_that_are_no_graph_are_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be loaded"):
        PolicyRunner(b"not a graph", {}, 0)


@pytest.mark.parametrize("name", ["previous:action", "previous:action/arm"])
def test_the_only_leaf_of_a_dict_may_be_named_without_its_path(name: str) -> None:
    # Given a graph that adds the previous action to the observation
    shape = ("B", 4)
    inputs = [
        helper.make_tensor_value_info(each, TensorProto.FLOAT, shape)
        for each in ("observation:", name)
    ]
    node = helper.make_node("Add", ["observation:", name], ["output:q"])
    output = helper.make_tensor_value_info("output:q", TensorProto.FLOAT, shape)
    graph = helper.make_graph([node], "add", inputs, [output])
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    runner = PolicyRunner(model.SerializeToString(), {}, 0)
    # Then the leaf is read, at any number of slots
    for x in (X, X[:1]):
        outputs, _ = runner.run({"": x}, {}, ({"arm": x}, np.zeros(len(x), np.float32)))
        np.testing.assert_array_equal(outputs["q"], 2 * x)
