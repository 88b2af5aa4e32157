"""Graphs that would read files or memory of the machine that runs them, wherever they hide it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    SparseTensorProto,
    TensorProto,
    TrainingInfoProto,
    helper,
)

from tinyqueue.errors import ConfigError
from tinyqueue.policy.graph_check import refuse_foreign_data
from tinyqueue.policy.runner import PolicyRunner

REFUSED = "would read its tensor"
ORT_MEMORY = "*/_ORT_MEM_ADDR_/*"
"""ONNX Runtime's mark of a tensor whose offset is an address."""


def external(location: str, name: str = "w") -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[16])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "64")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def model(*initializers: TensorProto) -> ModelProto:
    node = helper.make_node("Identity", [initializers[0].name], ["output:logits"])
    output = helper.make_tensor_value_info("output:logits", TensorProto.FLOAT, [16])
    graph = helper.make_graph([node], "policy", [], [output], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def in_initializer(tensor: TensorProto) -> ModelProto:
    return model(tensor)


def in_sparse_initializer(tensor: TensorProto) -> ModelProto:
    made = ModelProto()
    made.graph.sparse_initializer.append(SparseTensorProto(values=tensor, dims=[16]))
    return made


def in_constant(tensor: TensorProto) -> ModelProto:
    made = ModelProto()
    made.graph.node.append(helper.make_node("Constant", [], ["w"], value=tensor))
    return made


def in_sparse_constant(tensor: TensorProto) -> ModelProto:
    made = ModelProto()
    value = SparseTensorProto(indices=tensor, dims=[16])
    made.graph.node.append(helper.make_node("Constant", [], ["w"], sparse_value=value))
    return made


def in_list_of_tensors(tensor: TensorProto) -> ModelProto:
    made = ModelProto()
    node = made.graph.node.add(op_type="Constant")
    node.attribute.append(
        AttributeProto(name="values", type=AttributeProto.TENSORS, tensors=[tensor])
    )
    return made


def in_branch(tensor: TensorProto) -> ModelProto:
    branch = GraphProto(name="then", initializer=[tensor])
    made = ModelProto()
    made.graph.node.append(helper.make_node("If", ["c"], ["w"], then_branch=branch))
    return made


def in_function(tensor: TensorProto) -> ModelProto:
    body = helper.make_node("Constant", [], ["w"], value=tensor)
    return ModelProto(functions=[FunctionProto(name="f", node=[body])])


def in_default_of_a_function(tensor: TensorProto) -> ModelProto:
    value = AttributeProto(name="value", type=AttributeProto.TENSOR, t=tensor)
    return ModelProto(functions=[FunctionProto(name="f", attribute_proto=[value])])


def in_training(tensor: TensorProto) -> ModelProto:
    algorithm = GraphProto(name="step", initializer=[tensor])
    return ModelProto(training_info=[TrainingInfoProto(algorithm=algorithm)])


PLACES = [
    in_initializer,
    in_sparse_initializer,
    in_constant,
    in_sparse_constant,
    in_list_of_tensors,
    in_branch,
    in_function,
    in_default_of_a_function,
    in_training,
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["w", "weight:w"])
def test_an_external_tensor_is_found_wherever_it_is(
    place: Callable[[TensorProto], ModelProto], name: str
) -> None:
    graph = place(external("/etc/passwd", name)).SerializeToString()
    handed_over = ["weight:w"] if place is not in_initializer else []

    with pytest.raises(ConfigError, match="cannot be loaded"):
        refuse_foreign_data(graph, handed_over)


@given(
    location=st.one_of(
        st.sampled_from(["/etc/passwd", "../../etc/passwd", "weights", "", ORT_MEMORY]), st.text()
    ),
    place=st.sampled_from(PLACES),
    only_data=st.booleans(),
)
def test_no_location_and_no_form_of_it_passes(
    location: str, place: Callable[[TensorProto], ModelProto], only_data: bool
) -> None:
    tensor = external(location)
    if only_data:
        tensor.data_location = TensorProto.DEFAULT

    with pytest.raises(ConfigError, match=REFUSED):
        refuse_foreign_data(place(tensor).SerializeToString(), ["weight:w"])


@pytest.mark.parametrize("kind", ["absolute", "parent", "beside", "symlink", "memory"])
def test_what_onnx_runtime_would_read_does_not_come_out(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_bytes(b"secret".ljust(64))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "beside").write_bytes(b"secret".ljust(64))
    (folder / "symlink").symlink_to(tmp_path / "secret")
    monkeypatch.chdir(folder)
    location = {
        "absolute": str(tmp_path / "secret"),
        "parent": os.path.join("..", "secret"),
        "beside": "beside",
        "symlink": "symlink",
        "memory": ORT_MEMORY,
    }[kind]

    with pytest.raises(ConfigError, match=REFUSED):
        PolicyRunner(model(external(location)).SerializeToString(), {}, 1)


def test_onnx_runtime_by_itself_has_no_folder_to_read_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if a tensor got past the check."""
    (tmp_path / "beside").write_bytes(bytes(64))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tinyqueue.policy.runner.refuse_foreign_data", lambda *_: None)
    graph = model(external("beside", "only here")).SerializeToString()

    with pytest.raises(ConfigError, match="External data path"):
        PolicyRunner(graph, {}, 1)


def test_a_weight_is_external_once_and_is_handed_over() -> None:
    weight = external("weights", "weight:w")

    refuse_foreign_data(model(weight).SerializeToString(), ["weight:w"])
    with pytest.raises(ConfigError, match=REFUSED):
        refuse_foreign_data(model(weight, weight).SerializeToString(), ["weight:w"])


def test_a_name_that_is_given_twice_counts_as_its_last() -> None:
    """As protobuf has it."""
    twice = (
        external("weights", "weight:w").SerializeToString()
        + TensorProto(name="w").SerializeToString()
    )
    graph = b"\x3a" + varint(len(body := b"\x2a" + varint(len(twice)) + twice)) + body

    assert ModelProto.FromString(graph).graph.initializer[0].name == "w"
    with pytest.raises(ConfigError, match=REFUSED):
        refuse_foreign_data(graph, ["weight:w"])


def test_a_key_of_more_than_32_bits_hides_nothing() -> None:
    """Parsers cut it off, and would see a field that this check has not seen."""
    location = external("/etc/passwd").SerializeToString()
    tensor = varint(1 << 35 | 5 << 3 | 2) + varint(len(location)) + location

    with pytest.raises(ConfigError, match="no ONNX model"):
        refuse_foreign_data(b"\x3a" + varint(len(tensor)) + tensor, [])


def varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


@given(st.binary(max_size=200))
def test_bytes_that_are_no_model_raise_nothing_else(graph: bytes) -> None:
    with contextlib.suppress(ConfigError):
        refuse_foreign_data(graph, [])


def test_another_format_and_another_size_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="not in ONNX format"):
        refuse_foreign_data(b"\x00\x00\x00\x00ORTM" + bytes(100), [])
    monkeypatch.setattr("tinyqueue.policy.graph_check.MOST_GRAPH_BYTES", 99)
    with pytest.raises(ConfigError, match="100 bytes, and at most 99"):
        refuse_foreign_data(bytes(100), [])


def test_a_policy_without_external_tensors_is_played() -> None:
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [16], np.arange(16, dtype=np.float32))

    refuse_foreign_data(model(tensor).SerializeToString(), [])
