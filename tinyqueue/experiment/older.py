"""Documents of another tinyqueue version: settings that are gone, and settings that are new."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tinyqueue.experiment.environment import AtariConfig, EnvironmentConfig
from tinyqueue.experiment.experiment import ConfigTable
from tinyqueue.experiment.sections import (
    EvaluationConfig,
    LearnerConfig,
    MetricsConfig,
    ReplayConfig,
    SessionConfig,
    StopConfig,
)
from tinyqueue.experiment.validation import field_names

_SECTIONS: Mapping[str, type[Any]] = {
    "environment": EnvironmentConfig,
    "session": SessionConfig,
    "learner": LearnerConfig,
    "replay": ReplayConfig,
    "evaluation": EvaluationConfig,
    "stop": StopConfig,
    "metrics": MetricsConfig,
}
_MOST = 8
"""Settings that are listed by name; the rest are counted."""


def known_only(
    document: Mapping[str, Any], *, algorithms: ConfigTable, models: ConfigTable
) -> tuple[dict[str, Any], list[str]]:
    """The document without the keys that this version does not know, and a list of those.

    Values are left alone: one that is no longer allowed is refused where it is checked.

    Args:
        document: The tables of a run directory.
        algorithms, models: The config dataclass of each known name.
    """
    kept: dict[str, Any] = {}
    gone: list[str] = []
    for key, value in document.items():
        if key in ("name", "seed"):
            kept[key] = value
        elif not isinstance(value, Mapping):
            gone.append(key)
        elif key in ("algorithm", "model"):
            table = algorithms if key == "algorithm" else models
            component = table.get(str(value.get("name")))
            # An unknown component is refused by its name, whatever its keys are.
            names = ["name", *field_names(component)] if component else list(value)
            kept[key] = _kept(value, names, key, gone)
        elif key in _SECTIONS:
            kept[key] = _kept(value, field_names(_SECTIONS[key]), key, gone)
        else:
            gone.append(f"[{key}]")
    atari = kept.get("environment", {}).get("atari")
    if isinstance(atari, Mapping):
        kept["environment"]["atari"] = _kept(
            atari, field_names(AtariConfig), "environment.atari", gone
        )
    return kept, gone


def known_environment(table: Mapping[str, Any]) -> dict[str, Any]:
    """An environment's table from another version, as this version would have written it."""
    document, _ = known_only({"environment": table}, algorithms={}, models={})
    config = EnvironmentConfig.model_validate(document["environment"])
    return config.model_dump()


def new_since(document: Mapping[str, Any], today: Mapping[str, Any]) -> list[str]:
    """The settings that a document lacks, each with its present value: ``session.slots = 8``.

    Args:
        document: The tables of a run directory.
        today: The same experiment with every default filled in.
    """
    had = dict(_leaves(document))
    return [f"{key} = {_text(value)}" for key, value in _leaves(today) if key not in had]


def told(new: list[str], gone: list[str]) -> str:
    """Both in one line; empty for a document of this version."""
    parts = []
    if new:
        parts.append(f"settings new since then are at their defaults: {listed(new)}")
    if gone:
        parts.append(f"settings that no longer exist are left out: {listed(gone)}")
    return "; ".join(parts)


def listed(names: list[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more


def _kept(
    table: Mapping[str, Any], names: list[str], where: str, gone: list[str]
) -> dict[str, Any]:
    gone += [f"{where}.{key}" for key in table if key not in names]
    return {key: value for key, value in table.items() if key in names}


def _leaves(table: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        path = f"{where}.{key}" if where else key
        if isinstance(value, Mapping) and key != "kwargs":
            yield from _leaves(value, path)
        else:
            yield path, value


def _text(value: Any) -> str:
    return (
        f'"{value}"'
        if isinstance(value, str)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )
