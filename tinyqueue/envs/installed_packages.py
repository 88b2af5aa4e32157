"""Installed packages that build on Gymnasium: one of them may register an unknown environment."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import metadata

_NO_ENVIRONMENTS = ("tinyqueue", "gymnasium", "stable-baselines3", "sb3-contrib", "ale-py")
"""They build on Gymnasium, and register nothing or are known by name."""


def modules_on_gymnasium() -> tuple[str, ...]:
    """Top-level modules of the installed packages that require Gymnasium, in alphabetical order.

    Nothing is imported.
    """
    found = set[str]()
    for module, packages in metadata.packages_distributions().items():
        names = {_plain(package) for package in packages}
        if module.isidentifier() and not module.startswith("_") and any(map(_requires_it, names)):
            found.add(module)
    return tuple(sorted(found))


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
