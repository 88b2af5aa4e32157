"""Policy graphs of algorithms that bring their own network: made, checked, and given weights."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tinyqueue.data.spaces import Array, Arrays
from tinyqueue.errors import ConfigError, MissingExtraError
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.policy.rollout import Previous
from tinyqueue.policy.runner import INITIALIZERS_FROM_BYTES, PolicyRunner, signature_of
from tinyqueue.policy.signature import require_playable

if TYPE_CHECKING:
    import onnx
    from google.protobuf.message import Message


class ActingPolicy(Protocol):
    """What players need of a policy, as :class:`tinyqueue.policy.export.PolicyExport` gives it.

    Attributes:
        graph: The ONNX model without its weights.
        sha256: Hash of the graph, hexadecimal.
    """

    graph: bytes
    sha256: str

    def arrays(self, version: int = -1) -> Arrays:
        """The weights to publish under this version number, by name."""


class OwnPolicy:
    """The policy of an algorithm that made its graph itself.

    Args:
        graph: The ONNX model without its weights.
        weights: Version → weights by name.
        whose: The algorithm, for errors.

    Attributes:
        graph, sha256: As of :class:`ActingPolicy`.
        runner: Runs it, with the weights of before the first version.

    Raises:
        ConfigError: The graph or its weights cannot be played.
    """

    def __init__(self, graph: bytes, weights: Callable[[int], Arrays], whose: str) -> None:
        if not isinstance(graph, bytes):
            raise ConfigError(
                f"{whose}: graph must be the bytes of an ONNX model, not a {type(graph).__name__}. "
                "tinyqueue.policy.graphs.policy_graph makes them."
            )
        self.graph = graph
        self.sha256 = hashlib.sha256(graph).hexdigest()
        self._weights = weights
        self._whose = whose
        self._fixed: dict[str, str] = {}
        first = self.arrays()
        taken = {
            name.removeprefix("weight:"): _kind(port.dtype, port.shape)
            for name, port in signature_of(graph, first).inputs.items()
            if name.startswith("weight:")
        }
        if taken:  # Otherwise they are external, and the runner refuses those that do not fit.
            self._require_same(first, taken)
        self.runner = PolicyRunner(graph, first, -1)
        self._fixed = {name: _kind(a.dtype.name, a.shape) for name, a in first.items()}

    def arrays(self, version: int = -1) -> Arrays:
        """The weights to publish under this version number, by name.

        Raises:
            ConfigError: They are no arrays, or not those that the graph takes.
        """
        weights = self._weights(version)
        if not isinstance(weights, Mapping) or not all(
            isinstance(array, np.ndarray) for array in weights.values()
        ):
            raise ConfigError(f"{self._whose}: weights() must return NumPy arrays by name.")
        if self._fixed:
            self._require_same(weights, self._fixed)
        return {name: array.copy() for name, array in weights.items()}

    def require_playable(self, spec: PlaySpec) -> None:
        """Returns if players can play it: its shapes fit, and it runs for 1, 3 and B slots.

        Raises:
            ConfigError: It does not fit; the text has both shapes, or ONNX Runtime's reason.
        """
        require_playable(self.runner.signature, spec)
        for slots in sorted({1, 3, spec.slots}):
            self._run(spec, slots)

    def _run(self, spec: PlaySpec, slots: int) -> None:
        def zeros(name: str) -> Arrays:
            return {
                path.removeprefix(name): np.zeros((slots, *port.shape[1:]), port.dtype)  # type: ignore[arg-type]
                for path, port in self.runner.signature.inputs.items()
                if path.startswith(name)
            }

        previous: Previous = (
            {
                path: np.zeros((slots, *leaf.shape), leaf.dtype)
                for path, leaf in spec.actions.items()
            },
            np.zeros(slots, np.float32),
        )
        seen = zeros("observation:") or {"": np.zeros((slots, 0), np.float32)}
        try:
            outputs, after = self.runner.run(
                seen, zeros("state:"), previous if self.runner.uses_previous else None
            )
        except Exception as error:
            # ONNX Runtime's exceptions have no base class of their own.
            raise ConfigError(
                f"the policy graph of {self._whose} fails on zeros for {slots} environments: "
                f"{error}"
            ) from error
        for name, array in itertools.chain(outputs.items(), after.items()):
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ConfigError(
                    f"the policy graph of {self._whose} gives {name} that is not finite for zeros. "
                    "Its initial weights or the graph are at fault."
                )

    def _require_same(self, weights: Mapping[str, Array], of: Mapping[str, str]) -> None:
        given = {name: _kind(array.dtype.name, array.shape) for name, array in weights.items()}
        wrong = [
            f"{name} is {given.get(name, 'missing')} and should be {of.get(name, 'left out')}"
            for name in sorted({*of, *given})
            if given.get(name) != of.get(name)
        ]
        if wrong:
            raise ConfigError(
                f"{self._whose}: what weights() returned does not fit its graph: "
                f"{'; '.join(wrong)}."
            )


def policy_graph(model: onnx.ModelProto | bytes, weights: Collection[str]) -> bytes:
    """The graph that players get, of an ONNX model with its weights in it.

    The initializers of these names are taken out, and become ``weight:<name>``: inputs, or from 1
    MB on external initializers, which a player fills with every version. Comments and metadata,
    in which exporters note paths of this machine, are removed: a resumed run makes the same graph.

    Args:
        model: An ONNX model, as ``onnx.helper`` or ``torch.onnx.export`` makes it, whose inputs and
            outputs have the names of :mod:`tinyqueue.policy.runner`.
        weights: Names of the initializers that training changes, such as the keys of a
            ``state_dict``.

    Raises:
        ConfigError: An initializer is missing: the exporter has renamed, folded or removed it.
        MissingExtraError: The package onnx is not installed.
    """
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise MissingExtraError("learner", "making a policy graph") from error
    copy = onnx.ModelProto()
    copy.ParseFromString(model if isinstance(model, bytes) else model.SerializeToString())
    _strip(copy)
    graph = copy.graph
    inner = {each.name: each for each in graph.initializer}
    missing = [name for name in weights if name not in inner]
    if missing:
        raise ConfigError(
            f"the ONNX model has no initializer {', '.join(missing)}; it has {', '.join(inner)}. "
            "Have the exporter keep weights under their names, without folding constants or "
            "optimising, and name only weights that acting needs."
        )
    arrays = {name: onnx.numpy_helper.to_array(inner[name]) for name in weights}
    external = sum(array.nbytes for array in arrays.values()) >= INITIALIZERS_FROM_BYTES
    kept = [each for each in graph.initializer if each.name not in arrays]
    declared = [each for each in graph.input if each.name not in arrays]
    del graph.initializer[:], graph.input[:]
    graph.initializer.extend(kept)
    graph.input.extend(declared)
    for name in arrays:
        tensor = inner[name]
        if external:
            taken = onnx.TensorProto(
                name=f"weight:{name}", data_type=tensor.data_type, dims=tensor.dims
            )
            taken.data_location = onnx.TensorProto.EXTERNAL
            taken.external_data.add(key="location", value="weights")
            graph.initializer.append(taken)
        else:
            graph.input.append(
                onnx.helper.make_tensor_value_info(
                    f"weight:{name}", tensor.data_type, list(tensor.dims)
                )
            )
        # The converter's own name stays inside; ONNX Runtime removes the identity.
        graph.node.insert(0, onnx.helper.make_node("Identity", [f"weight:{name}"], [name]))
    return bytes(copy.SerializeToString(deterministic=True))


def _strip(message: Message) -> None:
    """Clears every ``doc_string`` and ``metadata_props`` in a model."""
    for name in ("doc_string", "metadata_props"):
        if name in message.DESCRIPTOR.fields_by_name:
            message.ClearField(name)
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else [value]:
                _strip(inner)


def _kind(dtype: str, shape: tuple[int | None, ...]) -> str:
    return f"{dtype}[{', '.join(map(str, shape))}]"
