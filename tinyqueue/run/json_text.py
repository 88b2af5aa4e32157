"""Strict JSON: NumPy numbers become plain ones, NaN and infinities become null."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def json_line(value: Mapping[str, Any]) -> str:
    """One object on one line, without a newline.

    Raises:
        TypeError: A value has a type that JSON does not support.
    """
    try:
        return json.dumps(value, allow_nan=False, separators=(", ", ": "), default=_plain)
    except ValueError:
        return json.dumps(finite(value), separators=(", ", ": "), default=_plain)


def json_document(value: Mapping[str, Any]) -> bytes:
    """One object, indented for people, as UTF-8.

    Raises:
        TypeError: A value has a type that JSON does not support.
    """
    return (json.dumps(finite(value), indent=2, default=_plain) + "\n").encode()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"JSON has no {type(value).__name__}: {value!r}")


def finite(value: Any) -> Any:
    """The value with None in place of NaN and infinities, and with plain Python numbers."""
    if isinstance(value, np.generic | np.ndarray):
        value = _plain(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
