"""Installed packages that build on Gymnasium: one of them may register an unknown environment."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import re
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

_NO_ENVIRONMENTS = ("tinyqueue", "gymnasium", "stable-baselines3", "sb3-contrib", "ale-py")
"""They build on Gymnasium, and register nothing or are known by name."""
_MOST_FILES = 500


def modules_on_gymnasium(environment_id: str = "") -> tuple[str, ...]:
    """Top-level modules of the installed packages that require Gymnasium; nothing is imported.

    Those come first whose code has the name of the environment, up to its first number, in it.

    Args:
        environment_id: An environment's id, such as ``Foraging-8x8-2p-v3``.
    """
    name = re.split(r"\d|-v\d", environment_id.rpartition("/")[2])[0].rstrip("-")
    found = set[str]()
    for module, packages in metadata.packages_distributions().items():
        names = {_plain(package) for package in packages}
        if module.isidentifier() and not module.startswith("_") and any(map(_requires_it, names)):
            found.add(module)
    return tuple(sorted(found, key=lambda module: (not _has(module, name), module)))


def _has(module: str, name: str) -> bool:
    """Whether the code of an installed module has a text with this name in it."""
    found = importlib.util.find_spec(module) if name else None
    for folder in (found and found.submodule_search_locations) or ():
        for file in itertools.islice(Path(folder).rglob("*.py"), _MOST_FILES):
            with contextlib.suppress(OSError):
                if name in file.read_text(errors="replace"):
                    return True
    return False


def _requires_it(package: str) -> bool:
    if package in _NO_ENVIRONMENTS:
        return False
    try:
        required: Iterable[str] = metadata.requires(package) or ()
    except metadata.PackageNotFoundError:
        return False
    return any(_plain(re.split(r"[^\w.-]", one)[0]) == "gymnasium" for one in required)


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
