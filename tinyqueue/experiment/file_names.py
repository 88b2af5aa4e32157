"""``path/to/file.py:Name``: how an experiment names a user's own algorithm or model."""

from __future__ import annotations

import os
import re
from pathlib import Path

_FILE = re.compile(r"(?P<path>.+\.py)(?::(?P<name>[^:/]*))?")


def file_of(name: str) -> tuple[Path, str] | None:
    """The file and the name in it, which is empty if left out; None for any other name."""
    found = _FILE.fullmatch(name)
    return (Path(os.path.expanduser(found["path"])), found["name"] or "") if found else None


def label(name: str) -> str:
    """A name for people to read: ``file.py:Name`` without its folders."""
    found = file_of(name)
    return f"{found[0].name}:{found[1]}" if found else name
