"""ONNX graphs of policies that see their previous action and reward, or have a state."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

FLOAT = TensorProto.FLOAT


def alternating_graph() -> bytes:
    """Takes the other action each time while rewards are small.

    Logits are ``[previous action, (512 + previous reward) / 1024]``; ``weight:w`` is 1/1024.
    """
    inputs = [
        helper.make_tensor_value_info("observation:", FLOAT, ["B", 4]),
        helper.make_tensor_value_info("previous:action", TensorProto.UINT8, ["B"]),
        helper.make_tensor_value_info("previous:reward", FLOAT, ["B"]),
        helper.make_tensor_value_info("weight:w", FLOAT, [1]),
    ]
    constants = [
        helper.make_tensor("column", TensorProto.INT64, [2], [-1, 1]),
        helper.make_tensor("middle", FLOAT, [1], [512.0]),
    ]
    nodes = [
        helper.make_node("Cast", ["previous:action"], ["acted"], to=FLOAT),
        helper.make_node("Reshape", ["acted", "column"], ["first"]),
        helper.make_node("Add", ["previous:reward", "middle"], ["given"]),
        helper.make_node("Mul", ["given", "weight:w"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "column"], ["second"]),
        helper.make_node("Concat", ["first", "second"], ["output:logits"], axis=1),
    ]
    outputs = [helper.make_tensor_value_info("output:logits", FLOAT, ["B", 2])]
    return _serialised(helper.make_graph(nodes, "policy", inputs, outputs, constants))


def summing_graph() -> bytes:
    """The state ``n`` and the logits are observation · ``weight:w``, summed over all ticks."""
    inputs = [
        helper.make_tensor_value_info("observation:", FLOAT, ["B", 4]),
        helper.make_tensor_value_info("state:n", FLOAT, ["B", 2]),
        helper.make_tensor_value_info("weight:w", FLOAT, [4, 2]),
    ]
    nodes = [
        helper.make_node("MatMul", ["observation:", "weight:w"], ["x"]),
        helper.make_node("Add", ["state:n", "x"], ["next_state:n"]),
        helper.make_node("Identity", ["next_state:n"], ["output:logits"]),
    ]
    outputs = [
        helper.make_tensor_value_info(name, FLOAT, ["B", 2])
        for name in ("output:logits", "next_state:n")
    ]
    return _serialised(helper.make_graph(nodes, "policy", inputs, outputs))


def everything_graph(columns: int, stack: int, state: int, actions: int) -> bytes:
    """Looks back at the stack, the previous action and reward, and the state.

    Next state = tanh(x · ``weight:w``) and logits = state · ``weight:u``, where x is all of these,
    flattened. Observations are ``[B, stack, columns]``, ``w`` is
    ``[stack·columns + 2 + state, state]`` and ``u`` ``[state, actions]``.
    """
    width = stack * columns
    inputs = [
        helper.make_tensor_value_info("observation:", FLOAT, ["B", stack, columns]),
        helper.make_tensor_value_info("state:n", FLOAT, ["B", state]),
        helper.make_tensor_value_info("previous:action", TensorProto.UINT8, ["B"]),
        helper.make_tensor_value_info("previous:reward", FLOAT, ["B"]),
        helper.make_tensor_value_info("weight:w", FLOAT, [width + 2 + state, state]),
        helper.make_tensor_value_info("weight:u", FLOAT, [state, actions]),
    ]
    constants = [
        helper.make_tensor("flat", TensorProto.INT64, [2], [-1, width]),
        helper.make_tensor("column", TensorProto.INT64, [2], [-1, 1]),
    ]
    nodes = [
        helper.make_node("Reshape", ["observation:", "flat"], ["seen"]),
        helper.make_node("Cast", ["previous:action"], ["acted"], to=FLOAT),
        helper.make_node("Reshape", ["acted", "column"], ["action"]),
        helper.make_node("Reshape", ["previous:reward", "column"], ["reward"]),
        helper.make_node("Concat", ["seen", "action", "reward", "state:n"], ["x"], axis=1),
        helper.make_node("MatMul", ["x", "weight:w"], ["product"]),
        helper.make_node("Tanh", ["product"], ["next_state:n"]),
        helper.make_node("MatMul", ["next_state:n", "weight:u"], ["output:logits"]),
    ]
    outputs = [
        helper.make_tensor_value_info("output:logits", FLOAT, ["B", actions]),
        helper.make_tensor_value_info("next_state:n", FLOAT, ["B", state]),
    ]
    return _serialised(helper.make_graph(nodes, "policy", inputs, outputs, constants))


def two_leaves_graph() -> bytes:
    """``output:logits`` ``[B, 3]``: the previous action's ``arm`` ``[B, 2]``, then its ``gear``."""
    inputs = [
        helper.make_tensor_value_info("observation:", FLOAT, ["B", 1]),
        helper.make_tensor_value_info("previous:action/gear", TensorProto.UINT8, ["B"]),
        helper.make_tensor_value_info("previous:action/arm", FLOAT, ["B", 2]),
        helper.make_tensor_value_info("previous:reward", FLOAT, ["B"]),
    ]
    constants = [helper.make_tensor("column", TensorProto.INT64, [2], [-1, 1])]
    nodes = [
        helper.make_node("Cast", ["previous:action/gear"], ["number"], to=FLOAT),
        helper.make_node("Reshape", ["number", "column"], ["gear"]),
        helper.make_node("Concat", ["previous:action/arm", "gear"], ["output:logits"], axis=1),
    ]
    outputs = [helper.make_tensor_value_info("output:logits", FLOAT, ["B", 3])]
    return _serialised(helper.make_graph(nodes, "policy", inputs, outputs, constants))


def _serialised(graph: onnx.GraphProto) -> bytes:
    opset = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString())
