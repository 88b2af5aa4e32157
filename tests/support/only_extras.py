"""A Python in which only some extras of tinyqueue are installed, as far as imports can tell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_SITE = """
import json, os, sys

NAMES = frozenset(json.loads(os.environ["TEST_NOT_INSTALLED"]))

class Without:
    # Around a finder that would find them.

    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in NAMES:
            return self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Without, sys.meta_path)
"""


def run_with(
    extras: Sequence[str], words: Sequence[object], folder: Path
) -> subprocess.CompletedProcess[str]:
    """A tinyqueue command in ``folder``, with nothing importable but what the extras bring.

    The processes that it starts have no more than it has.
    """
    (folder / "sitecustomize.py").write_text(_SITE)
    return subprocess.run(
        [sys.executable, "-m", "tinyqueue.cli.main", *map(str, words)],
        cwd=folder,
        env={
            **{name: word for name, word in os.environ.items() if "TINYQUEUE" not in name},
            "PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.getenv("PYTHONPATH")])),
            "TEST_NOT_INSTALLED": json.dumps(sorted(modules_without(extras))),
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def modules_without(extras: Sequence[str]) -> set[str]:
    """Installed top-level modules that ``tinyqueue[extras]`` does not require, even indirectly."""
    asked = _closure(f"tinyqueue[{','.join(extras)}]")
    return {
        module
        for module, owners in packages_distributions().items()
        if not asked & {canonicalize_name(owner) for owner in owners}
    }


def _closure(root: str) -> set[str]:
    waiting, seen = [Requirement(root)], set()
    names: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        key = name, frozenset(requirement.extras)
        if key in seen:
            continue
        seen.add(key)
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:
            continue  # An optional one, which nobody may count on.
        names.add(name)
        for need in map(Requirement, needs):
            wanted = [{"extra": extra} for extra in ("", *requirement.extras)]
            if need.marker is None or any(map(need.marker.evaluate, wanted)):
                waiting.append(need)
    return names
