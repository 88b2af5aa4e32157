"""Checking one table of a document against its schema, and saying what is wrong with it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from tinyqueue.errors import ConfigError, UnknownNameError
from tinyqueue.experiment.environment import AtariConfig, EnvironmentConfig
from tinyqueue.experiment.sections import EvaluationConfig, EvaluationEnvironment

T = TypeVar("T")

_WITHIN: Mapping[tuple[type[Any], str], type[Any]] = {
    (EnvironmentConfig, "atari"): AtariConfig,
    (EvaluationConfig, "environment"): EvaluationEnvironment,
}
# A section and a key → the table within it.


def validated(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """An instance of a section, or of a component's dataclass, with defaults filled in.

    Args:
        cls: The section or dataclass.
        values: Its table.
        where: The table's name, for errors.

    Raises:
        ConfigError: A key or value is unknown, missing or out of range; the text names the
            key and suggests the nearest.
    """
    names = field_names(cls)
    for key in values:
        if key not in names:
            raise UnknownNameError(f"key in [{where}]", key, names)
    try:
        return TypeAdapter(cls).validate_python(dict(values))
    except ValidationError as error:
        raise ConfigError(explained(error, cls, where)) from None


def explained(error: ValidationError, cls: type[Any], where: str = "") -> str:
    """A sentence that says what is wrong with each key; ``where`` is the table's name."""
    text = "; ".join(_fault(item, cls, where) for item in error.errors())
    return text if text.endswith("?") else f"{text}."


def _fault(item: ErrorDetails, cls: type[Any], where: str) -> str:
    key = ".".join([where, *(str(part) for part in item["loc"])]).strip(".")
    if item["type"] == "extra_forbidden":
        names = field_names(_table_of(cls, item["loc"]))
        near = difflib.get_close_matches(key.rpartition(".")[2], names, n=1)
        return f"unknown key {key!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    value = "" if item["type"] == "missing" else f" = {item['input']!r}"[:120]
    return f"{key}{value}: {item['msg']}"


def _table_of(cls: type[Any], place: tuple[int | str, ...]) -> type[Any]:
    """The section that holds a key: the one that was checked, or a table within it."""
    return _WITHIN.get((cls, str(place[0])), cls) if len(place) > 1 else cls


def field_names(cls: type[Any]) -> list[str]:
    """The keys of a section, or of a component's dataclass."""
    if is_dataclass(cls):
        return [field.name for field in fields(cls)]
    return list(cls.model_fields)
