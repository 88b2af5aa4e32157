"""Values of a sample's ``manifest.json``, taken key by key: an error says which, and what it is."""

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
    """A key is missing, or its value is of another kind than it should be."""


def parsed(data: bytes) -> dict[str, Any]:
    """The manifest as an object, of which nothing is known yet.

    Raises:
        ManifestError: It is no JSON, or no object.
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
        key: In that part.
        kind: What its value has to be; a whole number is a number too.
        within: Where the part stands, such as ``results[0].``.

    Raises:
        ManifestError: The key is missing, or its value is of another kind.
    """
    if key not in table:
        raise ManifestError(f"{within}{key} is missing; it should be {_KINDS[kind]}")
    return of_kind(table[key], kind, f"{within}{key}")


def of_kind(value: Any, kind: type[Kind], name: str) -> Kind:
    """The value itself. Raises ManifestError when it is of another kind."""
    fitting = (int, float) if kind is float else kind
    if not isinstance(value, fitting) or isinstance(value, bool):
        found = json.dumps(value)
        short = found if len(found) <= _MOST_SHOWN else f"{found[:_MOST_SHOWN]} …"
        raise ManifestError(f"{name} is {short}, and should be {_KINDS[kind]}")
    try:
        return kind(value)
    except OverflowError as error:
        raise ManifestError(f"{name} is too large") from error
