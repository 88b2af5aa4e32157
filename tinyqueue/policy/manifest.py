"""Reads a sample's ``manifest.json`` key by key: an error names the key and its value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

_KINDS: Mapping[type[Any], str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "an object with keys",
}
_MOST_SHOWN = 60

Kind = TypeVar("Kind", str, int, float, list[Any], dict[str, Any])


class ManifestError(ValueError):
    """A key is missing, or its value has the wrong type."""


def parsed(data: bytes) -> dict[str, Any]:
    """The manifest as a JSON object with unchecked content.

    Raises:
        ManifestError: It is not JSON, or not an object.
    """
    try:
        about = json.loads(data)
    except ValueError as error:
        raise ManifestError(f"it is not JSON ({error})") from error
    return of_kind(about, dict, "all of it")


def taken(table: Mapping[str, Any], key: str, kind: type[Kind], within: str = "") -> Kind:
    """The value of a key.

    Args:
        table: Part of the manifest.
        key: A key of that part.
        kind: The type of its value; an int is accepted as a float.
        within: Prefix that says where the part is, such as ``results[0].``.

    Raises:
        ManifestError: The key is missing, or its value has another type.
    """
    if key not in table:
        raise ManifestError(f"{within}{key} is missing; it should be {_KINDS[kind]}")
    return of_kind(table[key], kind, f"{within}{key}")


def of_kind(value: Any, kind: type[Kind], name: str) -> Kind:
    """The value, converted to ``kind``.

    Args:
        value: Any JSON value.
        kind: Its expected type.
        name: Its name in errors.

    Raises:
        ManifestError: It has another type, or is too large for a float.
    """
    fitting = (int, float) if kind is float else kind
    if not isinstance(value, fitting) or isinstance(value, bool):
        found = json.dumps(value)
        short = found if len(found) <= _MOST_SHOWN else f"{found[:_MOST_SHOWN]} …"
        raise ManifestError(f"{name} is {short}, and should be {_KINDS[kind]}")
    try:
        return kind(value)
    except OverflowError as error:
        raise ManifestError(f"{name} is too large") from error
