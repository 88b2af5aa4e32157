"""Named arrays and a few plain values as bytes: the frame of every message on the wire.

A frame is a stream of msgpack ``bin 32`` objects: first the head, a msgpack map of plain
values with the key ``arrays`` (``[name, dtype code, shape]`` of each), then the bytes of each
array in that order. Nil objects pad every array to an offset divisible by 8, so arrays are
used in place, without a copy. Only the head, whose size is capped, is ever given to a msgpack
parser: 15 MiB of empty maps would otherwise become a gigabyte of objects.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import msgpack
import numpy as np

from tinyqueue.data.spaces import Array, Arrays
from tinyqueue.errors import MessageError
from tinyqueue.wire.limits import Limits

_DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("bool"),
    2: np.dtype("uint8"),
    3: np.dtype("int8"),
    4: np.dtype("<u2"),
    5: np.dtype("<i2"),
    6: np.dtype("<u4"),
    7: np.dtype("<i4"),
    8: np.dtype("<u8"),
    9: np.dtype("<i8"),
    10: np.dtype("<f2"),
    11: np.dtype("<f4"),
    12: np.dtype("<f8"),
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_BOOL = 1
_MOST_DIMENSIONS = 8
_BIN = struct.Struct(">BI")
_BIN_TAG = 0xC6
_ALIGN = 8
_NILS = tuple(b"\xc0" * count for count in range(_ALIGN))


FRAME_RULE = (
    "it needs at most 8 axes, none of size zero, and a little-endian bool, integer or float dtype"
)
"""What :func:`fits_a_frame` asks of an array, for errors."""


def fits_a_frame(array: Array) -> bool:
    """Whether a frame can hold an array: it is not empty, and of a type that has a code."""
    return array.dtype in _CODES and array.size > 0 and array.ndim <= _MOST_DIMENSIONS


def pack(values: Mapping[str, Any], arrays: Mapping[str, Array]) -> bytes:
    """A frame of arrays and plain values. The key ``arrays`` is reserved.

    Raises:
        ValueError: As for :func:`parts`.
    """
    return b"".join(parts(values, arrays))


def parts(values: Mapping[str, Any], arrays: Mapping[str, Array]) -> list[bytes | memoryview]:
    """The pieces of a frame: bytes, and the memory of arrays without a copy if contiguous.

    Raises:
        ValueError: An array is empty, has more than 8 axes, or has a dtype without a code.
    """
    entries = []
    for name, array in arrays.items():
        if not fits_a_frame(array):
            raise ValueError(
                f"array {name!r} of {array.dtype} {array.shape} cannot be sent: {FRAME_RULE}"
            )
        entries.append((name, _CODES[array.dtype], array.shape))
    head = msgpack.packb({**values, "arrays": entries})
    found: list[bytes | memoryview] = [_BIN.pack(_BIN_TAG, len(head)), head]
    at = _BIN.size + len(head)
    for array in arrays.values():
        start = _data_start(at)
        found.append(_NILS[start - _BIN.size - at])
        found.append(_BIN.pack(_BIN_TAG, array.nbytes))
        found.append(_bytes_of(array))
        at = start + array.nbytes
    return found


def _bytes_of(array: Array) -> memoryview:
    contiguous: Array = np.ascontiguousarray(array)
    return contiguous.reshape(-1).view(np.uint8).data


def unpack(data: bytes | memoryview, limits: Limits) -> tuple[dict[str, Any], Arrays]:
    """The values and arrays of a frame. The arrays are read-only views into ``data``.

    Raises:
        MessageError: ``malformed``, ``too-large``, ``dtype`` or ``shape``. No bytes raise anything
            else. Values are plain but otherwise unchecked.
    """
    view = memoryview(data).toreadonly()
    values, at = _head(view, limits)
    entries = values.pop("arrays", None)
    if type(entries) is not list:
        raise MessageError("malformed", "the head lists no arrays")
    if len(entries) > limits.arrays:
        raise MessageError("too-large", f"{len(entries)} arrays; at most {limits.arrays}")
    arrays: Arrays = {}
    for entry in entries:
        name, code, shape, length = _entry(entry)
        if name in arrays:
            raise MessageError("malformed", f"array {name[:64]!r} is listed twice")
        start = _data_start(at)
        end = start + length
        if end > len(view):
            raise MessageError("malformed", f"the body ends before array {name[:64]!r} does")
        if view[at:start] != _NILS[start - _BIN.size - at] + _BIN.pack(_BIN_TAG, length):
            raise MessageError("shape", f"array {name[:64]!r}: its shape does not fit its bytes")
        array: Array = np.ndarray(shape, _DTYPES[code], view, start)
        if code == _BOOL and array.view(np.uint8).max() > 1:
            raise MessageError("dtype", f"array {name[:64]!r}: bytes above 1 are not booleans")
        arrays[name] = array
        at = end
    if at != len(view):
        raise MessageError("malformed", f"{len(view) - at} bytes after the last array")
    return values, arrays


def _head(view: memoryview, limits: Limits) -> tuple[dict[str, Any], int]:
    if len(view) < _BIN.size:
        raise MessageError("malformed", f"a body of {len(view)} bytes")
    tag, length = _BIN.unpack_from(view, 0)
    end = _BIN.size + length
    if tag != _BIN_TAG or end > len(view):
        raise MessageError("malformed", "the body does not begin with a whole head")
    if length > limits.head_bytes:
        raise MessageError("too-large", f"a head of {length} bytes; at most {limits.head_bytes}")
    try:
        values = msgpack.unpackb(
            view[_BIN.size : end],
            raw=False,
            strict_map_key=True,
            max_ext_len=0,
            max_bin_len=0,
            max_str_len=limits.items,
            max_array_len=limits.items,
            max_map_len=limits.items,
        )
    except (ValueError, TypeError, OverflowError) as error:
        raise MessageError("malformed", f"the head is not msgpack: {error}") from None
    if type(values) is not dict or any(type(key) is not str for key in values):
        raise MessageError("malformed", "the head is not a map of names")
    return values, end


def _entry(entry: object) -> tuple[str, int, list[int], int]:
    """Name, dtype code, shape and length in bytes of one listed array."""
    if type(entry) is not list or len(entry) != 3:
        raise MessageError("malformed", "a listed array is not [name, code, shape]")
    name, code, shape = entry
    if type(name) is not str or type(shape) is not list:
        raise MessageError("malformed", "a listed array is not [name, code, shape]")
    if type(code) is not int or code not in _DTYPES:
        raise MessageError("dtype", f"array {name[:64]!r}: no dtype has this code")
    if len(shape) > _MOST_DIMENSIONS:
        raise MessageError("shape", f"array {name[:64]!r}: {len(shape)} axes; at most 8")
    length = _DTYPES[code].itemsize
    for size in shape:
        if type(size) is not int or size <= 0:
            raise MessageError("shape", f"array {name[:64]!r}: axes must be positive integers")
        length *= size
    return name, code, shape, length


def _data_start(at: int) -> int:
    """Where an array's bytes begin when its padding and ``bin`` header begin at ``at``."""
    return -(-(at + _BIN.size) // _ALIGN) * _ALIGN
