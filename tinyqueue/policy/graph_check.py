"""What a policy graph may not do: read files or memory of the machine that runs it.

A tensor of an ONNX graph may be "external": a path from which ONNX Runtime reads it, or even an
address in the process's memory. What a graph from the store reads could leave with the sessions.
Only the policy's own weights are external, and their values are handed over in place of any file.
Players have no `onnx` package, so this walks through the protobuf encoding itself
(https://protobuf.dev/programming-guides/encoding), message by message of onnx.proto
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from tinyqueue.errors import ConfigError

MOST_GRAPH_BYTES = 64 * 2**20
"""A graph holds no weights: those of the largest policies take less than 1 MB."""
_MOST_DEPTH = 64
_ORT_FORMAT = b"ORTM"
# At byte 4: ONNX Runtime's own format, which is no protobuf.

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
# Message → number of a field → the message in it, for all ways from a model to a tensor.
_NAME, _EXTERNAL_DATA, _DATA_LOCATION = 8, 13, 14


def refuse_foreign_data(graph: bytes, weights: Collection[str]) -> None:
    """Refuses a graph that would read anything but itself and its weights.

    Args:
        graph: The ONNX model.
        weights: Names of the tensors whose values are handed over.

    Raises:
        ConfigError: It would, it is larger than any policy's, it is no ONNX model, or it has a
            weight that is not handed over.
    """
    if len(graph) > MOST_GRAPH_BYTES:
        raise _unusable(f"it has {len(graph)} bytes, and at most {MOST_GRAPH_BYTES} are allowed")
    if graph[4:8] == _ORT_FORMAT:
        raise _unusable("it is not in ONNX format")
    seen: set[str] = set()
    for name, is_weight in _external(memoryview(graph), "model", 0):
        if not is_weight or not name.startswith("weight:") or name in seen:
            raise _unusable(
                f"it would read its tensor {name[:80]!r} from files or memory of this machine, "
                "whereas only a policy's weights are external. Find out who published it"
            )
        if name not in weights:
            raise _unusable(
                f"it expects {name[:80]!r}, which these weights do not have. They come from "
                "different runs; restart the learner to publish both again"
            )
        seen.add(name)


def _external(message: memoryview, kind: str, depth: int) -> Iterator[tuple[str, bool]]:
    """Names of external tensors, and whether each is an initializer of the main graph."""
    if depth > _MOST_DEPTH:
        raise _malformed()
    inside = _INSIDE[kind]
    for number, value in _fields(message):
        if number not in inside or not isinstance(value, memoryview):
            continue
        if inside[number] != "tensor":
            yield from _external(value, inside[number], depth + 1)
        elif (name := _external_name(value)) is not None:
            yield name, kind == "graph" and depth == 1


def _external_name(tensor: memoryview) -> str | None:
    name, is_external = "", False
    for number, value in _fields(tensor):
        if number == _NAME and isinstance(value, memoryview):
            name = bytes(value).decode(errors="replace")
        is_external |= number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)
    return name if is_external else None


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field; numbers of a fixed size are of no interest, and are 0."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        if key >= 1 << 32:
            # A parser may see other numbers in it: those of the lower 32 bits.
            raise _malformed()
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
        elif wire == _BYTES:
            size, at = _varint(message, at)
            if size > len(message) - at:
                raise _malformed()
            yield number, message[at : at + size]
            at += size
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
            yield number, 0
        else:
            # Groups: ONNX has none, and a parser might look into them.
            raise _malformed()
    if at != len(message):
        raise _malformed()


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for place in range(10):
        if at + place >= len(message):
            break
        byte = message[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise _malformed()


def _malformed() -> ConfigError:
    return _unusable("it is no ONNX model")


def _unusable(why: str) -> ConfigError:
    return ConfigError(f"the policy graph cannot be loaded: {why}.")
