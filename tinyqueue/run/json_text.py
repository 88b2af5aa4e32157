"""JSON that every reader takes: NumPy numbers as plain ones, NaN and infinities as null."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def json_line(value: Mapping[str, Any]) -> str:
    """One object on one line, without the newline."""
    try:
        return json.dumps(value, allow_nan=False, separators=(", ", ": "), default=_plain)
    except ValueError:
        return json.dumps(finite(value), separators=(", ", ": "), default=_plain)


def json_document(value: Mapping[str, Any]) -> bytes:
    """One object, indented for people."""
    return (json.dumps(finite(value), indent=2, default=_plain) + "\n").encode()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"JSON has no {type(value).__name__}: {value!r}")


def finite(value: Any) -> Any:
    """The value with None for every NaN and infinity in it, and plain Python numbers."""
    if isinstance(value, np.generic | np.ndarray):
        value = _plain(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
