"""Experiments as unchecked tables: read from TOML, changed by ``--set``."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tinyqueue.errors import ConfigError
from tinyqueue.experiment.values import Assignment


def read_document(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        ConfigError: The file cannot be read or is not TOML; the text gives line and column.
    """
    try:
        # Some editors begin a file with a mark of its encoding.
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from error


def with_overrides(
    document: Mapping[str, Any], assignments: Iterable[str | Assignment]
) -> dict[str, Any]:
    """The document with assignments applied.

    Args:
        document: The tables of an experiment file.
        assignments: Each ``section.key=value``, where the value is TOML, or else plain text; or a
            key and value from a program.

    Raises:
        ConfigError: An assignment is not of that form.
    """
    result = copy.deepcopy(dict(document))
    for assignment in assignments:
        if isinstance(assignment, str):
            parts, value = _parsed(assignment)
            said = f"--set {assignment!r}"
        else:
            parts, value = assignment
            said = ".".join(parts)
        table = result
        for part in parts[:-1]:
            inner = table.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"{said}: {part!r} is a value, not a section.")
            table = inner
        table[parts[-1]] = value
    return result


def _parsed(assignment: str) -> Assignment:
    key, equals, text = assignment.partition("=")
    parts = tuple(key.strip().split("."))
    if not equals or not all(parts):
        raise ConfigError(
            f"--set {assignment!r} must have the form section.key=value, such as "
            "algorithm.learning_rate=0.001."
        )
    try:
        return parts, tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return parts, text.strip()
