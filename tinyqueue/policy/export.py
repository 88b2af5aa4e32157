"""The acting half of a Keras model as an ONNX graph without its weights.

A learner publishes the graph once per run and the weights with every version. The names of inputs
and outputs are described in :mod:`tinyqueue.policy.runner`. Players compute in float32, whatever
precision the model is trained in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from tinyqueue.data.spaces import Arrays
from tinyqueue.errors import ConfigError, MissingExtraError
from tinyqueue.policy.runner import INITIALIZERS_FROM_BYTES

_OPSET = 18
_STATE, _PREVIOUS = "state:", "previous:"


class Stepping(Protocol):
    """A network; only its model of one tick is used here."""

    step: Any


class PolicyExport:
    """The part of a model that players need, and its current weights.

    Args:
        network: Its ``step`` is exported: a functional Keras model of one tick, with a dict of
            inputs by observation path (recurrent state: ``state:<path>``; ``previous:action`` and
            ``previous:reward``), and a dict of outputs by name (next state: ``state:<path>``).
        outputs: The outputs that acting needs. Layers that only other outputs need are left out.

    Attributes:
        graph: The ONNX model.
        sha256: Hash of the graph, hexadecimal.

    Raises:
        ConfigError: The model lacks an output, or an operation has no ONNX counterpart.
        MissingExtraError: tf2onnx is not installed.
    """

    def __init__(self, network: Stepping, outputs: Sequence[str]) -> None:
        import keras

        step = network.step
        missing = [name for name in outputs if name not in step.output]
        if missing:
            raise ConfigError(
                f"the model has no output {', '.join(missing)}; it has {', '.join(step.output)}."
            )
        states = [name for name in step.output if name.startswith(_STATE)]
        kept = {name: step.output[name] for name in (*outputs, *states)}
        acting = keras.Model(step.input, kept)
        self._variables = {v.path: v for v in acting.variables}
        self.graph = _graph(acting, self._variables)
        self.sha256 = hashlib.sha256(self.graph).hexdigest()

    def arrays(self, version: int = -1) -> Arrays:
        """Copies of the acting half's current weights, by variable path, for any version."""
        from tensorflow import raw_ops

        # Three times faster than Variable.numpy(), and called at every publish.
        return {
            path: raw_ops.ReadVariableOp(resource=v.value.handle, dtype=v.value.dtype).numpy()
            for path, v in self._variables.items()
        }


def _graph(acting: Any, variables: dict[str, Any]) -> bytes:
    """The converted model, with our names for inputs and outputs."""
    signature = _signature(acting, variables)
    inner = _converted(acting, variables, list(signature.values()))
    from onnx import helper

    external = sum(v.numpy().nbytes for v in variables.values()) >= INITIALIZERS_FROM_BYTES
    inputs, initializers = [], list(inner.graph.initializer)
    for name, spec in signature.items():
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype.name))
        shape = ["B" if size is None else size for size in spec.shape]
        if external and name.startswith("weight:"):
            initializers.append(_external(name, kind, spec.shape))
        else:
            inputs.append(helper.make_tensor_value_info(name, kind, shape))
    outputs = []
    for name, tensor in acting.output.items():
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype))
        shape = ["B", *tensor.shape[1:]]
        outputs.append(helper.make_tensor_value_info(_output_name(name), kind, shape))
    # The converter does not allow ":" or "/" in names; ONNX Runtime removes these identities.
    nodes = [helper.make_node("Identity", [name], [s.name]) for name, s in signature.items()]
    nodes += inner.graph.node
    nodes += [
        helper.make_node("Identity", [produced.name], [ours.name])
        for produced, ours in zip(inner.graph.output, outputs, strict=True)
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "policy", inputs, outputs, initializers),
        opset_imports=list(inner.opset_import),
        ir_version=inner.ir_version,
    )
    return bytes(model.SerializeToString(deterministic=True))


def _signature(acting: Any, variables: dict[str, Any]) -> dict[str, Any]:
    """Our name of each input → its ``tf.TensorSpec``; observations and state before weights."""
    import tensorflow as tf

    signature = {}
    for index, (key, tensor) in enumerate(acting.input.items()):
        name = key if key.startswith((_STATE, _PREVIOUS)) else f"observation:{key}"
        signature[name] = tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype, f"i{index}")
    for index, (path, variable) in enumerate(variables.items()):
        spec = tf.TensorSpec(variable.shape, variable.dtype, f"w{index}")
        signature[f"weight:{path}"] = spec
    return signature


def _converted(acting: Any, variables: dict[str, Any], signature: list[Any]) -> Any:
    """The converter's ONNX model of ``(*inputs, *weights) → outputs``."""
    import tensorflow as tf

    try:
        import onnx.defs
        import tf2onnx
    except ModuleNotFoundError as error:
        raise MissingExtraError("learner", "exporting a policy") from error
    keys = list(acting.input)

    def act(*tensors: Any) -> list[Any]:
        weights = dict(zip(variables, tensors[len(keys) :], strict=True))
        outputs, _ = acting.stateless_call(
            [weights[v.path] for v in acting.trainable_variables],
            [weights[v.path] for v in acting.non_trainable_variables],
            dict(zip(keys, tensors[: len(keys)], strict=True)),
            training=False,
        )
        return [outputs[name] for name in acting.output]

    function = tf.function(act, input_signature=signature, autograph=False)
    with _in_float32(acting):
        model, _ = tf2onnx.convert.from_function(function, signature, opset=_OPSET)
    # The converter only logs operations that it cannot convert, and leaves them in the graph.
    unknown = {node.op_type for node in model.graph.node if not onnx.defs.has(node.op_type)}
    if unknown:
        raise ConfigError(
            f"the model cannot be exported for players: ONNX has no {', '.join(sorted(unknown))}. "
            "Build it from operations that have an ONNX counterpart."
        )
    return model


@contextmanager
def _in_float32(model: Any) -> Iterator[None]:
    """Makes layers with float32 variables compute in float32 inside the block."""
    policies = [(layer, layer.dtype_policy) for layer in _layers(model)]
    try:
        for layer, policy in policies:
            if policy.variable_dtype == "float32":
                layer.dtype_policy = "float32"
        yield
    finally:
        for layer, policy in policies:
            layer.dtype_policy = policy


def _layers(model: Any) -> Iterator[Any]:
    """Every layer, including those of nested models."""
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from _layers(layer)


def _external(name: str, kind: int, shape: Any) -> Any:
    """An initializer whose values are in the weights."""
    from onnx import TensorProto

    tensor = TensorProto(name=name, data_type=kind, dims=tuple(shape))
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights")
    return tensor


def _output_name(name: str) -> str:
    return f"next_{name}" if name.startswith(_STATE) else f"output:{name}"
