"""The message headers that a learner reads. Everything else a sender adds stops at the border.

A header travels far: into dead letters, the session log and the terminal. So only these names are
kept, each of one type and of bounded size; one that is of another type counts as missing, which
the decoder refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tinyqueue.wire.fields import is_count, is_short_text

Headers = Mapping[str, str | int]

KNOWN_HEADERS: Mapping[str, type[str] | type[int]] = MappingProxyType(
    {
        "schema": int,
        "experiment": str,
        "run": str,
        "policy_version": int,
        "spec_version": int,
        "player": str,
        "ticks": int,
        "slots": int,
        "env_steps": int,
        "codec": str,
        "raw_bytes": int,
    }
)
"""Name → type. Only sessions have headers; what other messages say is in their bodies."""

MOST_PROPERTY = 128
"""Characters of a message's id, content type or correlation id; the longest in use has 51."""


def known_headers(raw: Mapping[Any, Any]) -> dict[str, str | int]:
    """The known headers of a message, as short text or as whole numbers below 2⁶³.

    Args:
        raw: Whatever the sender wrote: keys may be bytes, and values nested or huge.
    """
    found: dict[str, str | int] = {}
    for name, kind in KNOWN_HEADERS.items():
        value: Any = raw.get(name)
        if is_short_text(value) if kind is str else is_count(value):
            found[name] = value
    return found


def known_property(value: object) -> str:
    """A message's id, content type or correlation id; empty if it is no short printable text."""
    return value if is_short_text(value, MOST_PROPERTY) else ""
