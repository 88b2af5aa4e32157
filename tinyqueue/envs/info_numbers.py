"""Reading numbers out of an environment's ``info``, which may hold anything."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinyqueue.data.info_values import MOST_MAGNITUDE
from tinyqueue.data.spaces import Array

_NONE = math.nan
_NUMERIC = "biuf"
MOST_NOTED = 256
"""Keys whose largest number is noted; an info may have new ones in every step."""
_MOST_DEPTH = 4


def read_info(info: Any, keys: Sequence[str], row: Array) -> None:
    """Writes the numbers of one environment's info into a row.

    Args:
        info: What ``step`` returned. Nothing in it raises.
        keys: A key of it, or the path of one within tables: ``"agent/x"``.
        row: ``[K]`` float64; NaN where a key is missing or not one finite number.
    """
    for place, key in enumerate(keys):
        try:
            row[place] = _number(_found(info, key)[0])
        except Exception:
            # A foreign mapping or value may raise whatever it likes.
            row[place] = _NONE


def read_infos(infos: Any, keys: Sequence[str], rows: Array) -> None:
    """As :func:`read_info` for the info of a vectorised environment.

    Args:
        infos: Arrays ``[B]`` by key, each perhaps with a mask ``_<key>`` of the slots that have it.
        keys: As above.
        rows: ``[B, K]`` float64.
    """
    for place, key in enumerate(keys):
        try:
            values, mask = _found(infos, key)
            numbers = np.asarray(values)
            if numbers.dtype.kind not in _NUMERIC or numbers.shape != (len(rows),):
                raise TypeError
            sound = np.abs(numbers) <= MOST_MAGNITUDE
            rows[:, place] = np.where(sound if mask is None else sound & mask, numbers, _NONE)
        except Exception:
            rows[:, place] = _NONE


def note_largest(infos: Sequence[Any], slots: int, largest: dict[str, float]) -> None:
    """Notes the largest magnitude of every number in infos.

    Args:
        infos: What a step returned: of each slot, or one for the whole vector.
        slots: B.
        largest: Key, or path of one within tables, → the largest magnitude so far, which this
            changes; of at most :data:`MOST_NOTED` keys.
    """
    for info in infos:
        _note(info, slots // len(infos), largest, "")


def _note(info: Any, count: int, largest: dict[str, float], within: str) -> None:
    try:
        items = list(info.items())[:MOST_NOTED]
    except Exception:
        # A foreign mapping may raise whatever it likes.
        return
    for key, value in items:
        path = f"{within}{key}"
        if isinstance(value, Mapping) and within.count("/") < _MOST_DEPTH:
            _note(value, count, largest, f"{path}/")
        elif path in largest or len(largest) < MOST_NOTED:
            size = _magnitude(value, count)
            if size is not None:
                largest[path] = max(largest.get(path, 0.0), size)


def _magnitude(value: Any, count: int) -> float | None:
    """The largest magnitude among so many numbers; None if it is anything else."""
    try:
        numbers = np.asarray(value)
        if numbers.dtype.kind not in _NUMERIC or numbers.size != count:
            return None
        largest = float(np.abs(numbers.astype(np.float64)).max())
    except Exception:
        return None
    return largest if largest <= MOST_MAGNITUDE else None


def _found(info: Any, key: str) -> tuple[Any, Any]:
    """The value of a key or path, and its mask in a vectorised info; None where there is none."""
    if isinstance(info, Mapping) and key not in info and "/" in key:
        outer, _, inner = key.partition("/")
        return _found(info.get(outer), inner)
    return (info.get(key), info.get(f"_{key}")) if isinstance(info, Mapping) else (None, None)


def _number(value: Any) -> float:
    if not isinstance(value, float | int):
        array = np.asarray(value)
        if array.size != 1 or array.dtype.kind not in _NUMERIC:
            return _NONE
        value = array.item()
    return float(value) if -MOST_MAGNITUDE <= value <= MOST_MAGNITUDE else _NONE
