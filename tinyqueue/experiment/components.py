"""The algorithm and the model that a document names: where they are, and when they change."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinyqueue.experiment.experiment import ConfigTable
from tinyqueue.experiment.file_names import file_of

DEFAULTS = {"algorithm": "impala", "model": "mlp"}
"""The components of a document that names none."""


def chosen(document: Mapping[str, Any], kind: str) -> str:
    """The name of a document's ``algorithm`` or ``model``."""
    table = document.get(kind, {})
    name = table.get("name", DEFAULTS[kind]) if isinstance(table, Mapping) else ""
    return str(name)


def located(document: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The document with the paths of ``file.py:Name`` absolute.

    Args:
        document: As it was written.
        folder: What relative paths are relative to: the folder of the TOML file.
    """
    result = dict(document)
    for kind in DEFAULTS:
        found = file_of(chosen(document, kind))
        if found is not None:
            path, name = found
            absolute = os.path.abspath(folder / path)
            result[kind] = {**document[kind], "name": f"{absolute}:{name}" if name else absolute}
    return result


def without_former(
    document: Mapping[str, Any],
    wanted: Mapping[str, str],
    *,
    algorithms: ConfigTable,
    models: ConfigTable,
    keeps_shared: bool,
) -> tuple[dict[str, Any], list[str]]:
    """The document without the settings of an algorithm or model that is being replaced.

    Args:
        document: The tables before any setting that a person typed is applied.
        wanted: ``algorithm`` and ``model`` → the name that was typed.
        algorithms, models: The config dataclass of each known name.
        keeps_shared: Whether to keep settings that the new component has too. Those from a
            person's own file are kept; those of a preset for another algorithm are not.

    Returns:
        The document, and the keys that were left out. A key that belongs to neither component
        stays, so that it is refused later.
    """
    result = dict(document)
    gone: list[str] = []
    for kind, name in wanted.items():
        table = algorithms if kind == "algorithm" else models
        before = chosen(document, kind)
        if name == before or name not in table or before not in table:
            continue
        given = dict(document.get(kind, {}))
        given.pop("name", None)
        left = _left_out(given, table[before], table[name], keeps_shared)
        gone += [f"{kind}.{key}" for key in left]
        result[kind] = {"name": name, **{k: v for k, v in given.items() if k not in left}}
        had, has = _uses_replay(table[before]), _uses_replay(table[name])
        if had and not has and result.pop("replay", None) is not None:
            gone.append("[replay]")
        if has and not had and "lag" in result.get("learner", {}):
            result["learner"] = {k: v for k, v in result["learner"].items() if k != "lag"}
            gone.append("learner.lag")
    return result, gone


def _uses_replay(component: type[Any]) -> bool:
    return bool(getattr(component, "uses_replay", False))


def _left_out(
    given: Mapping[str, Any], before: type[Any], after: type[Any], keeps_shared: bool
) -> list[str]:
    belonged = before.__dataclass_fields__
    belongs = after.__dataclass_fields__
    return [key for key in given if key in belonged and not (keeps_shared and key in belongs)]
