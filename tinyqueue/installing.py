"""How packages of an extra are installed next to this tinyqueue, wherever it came from."""

from __future__ import annotations

import json
import shlex
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit


def install_command(extra: str) -> str:
    """The command that installs an extra: from a folder if tinyqueue itself was installed so.

    A package index need not have this tinyqueue, or has another.

    Args:
        extra: The extra of the tinyqueue distribution.
    """
    found = _source()
    if found is None:
        return f'pip install "tinyqueue[{extra}]"'
    folder, is_editable = found
    here = "." if folder == Path.cwd() else str(folder)
    editable = "-e " if is_editable else ""
    return f"pip install {editable}{shlex.quote(f'{here}[{extra}]')}"


def _source() -> tuple[Path, bool] | None:
    """The folder that tinyqueue was installed from, and whether it is used from there (PEP 610).

    None if it came from elsewhere, or the folder is gone.
    """
    with suppress(PackageNotFoundError, OSError, ValueError, KeyError, TypeError):
        origin = json.loads(distribution("tinyqueue").read_text("direct_url.json") or "{}")
        folder = Path(unquote(urlsplit(origin["url"]).path))
        if "dir_info" in origin and (folder / "pyproject.toml").is_file():
            return folder, bool(origin["dir_info"].get("editable"))
    return None
