"""The user's working folder on Python's path: after everything installed, never before it.

A ``redis.py`` or ``types.py`` in that folder is the user's own, and must not hide a library.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_START = (
    "import os, runpy, sys; del sys.argv[0]; sys.path.append(os.getcwd()); "
    "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)
_NEEDED = (
    *("amqp", "celery", "click", "gymnasium", "keras", "kombu", "lz4", "msgpack", "numpy", "onnx"),
    *("onnxruntime", "pydantic", "redis", "rich", "structlog", "tensorflow", "zstandard"),
    *("copy", "enum", "json", "logging", "queue", "random", "secrets", "select", "signal"),
    *("socket", "ssl", "string", "struct", "tempfile", "threading", "types", "uuid"),
)


def python_of(module: str, *arguments: str) -> list[str]:
    """The command ``python -m MODULE ARGUMENTS`` with the working folder last on its path."""
    return [sys.executable, "-P", "-c", _START, module, *arguments]


def put_last() -> None:
    """Puts the working folder at the end of the path in tinyqueue's programs.

    Celery puts it first while it imports an app or its tasks, unless it is there already. One
    of the two entries is for Celery, which later removes the entry that it added. The program
    ``tinyqueue`` would not have it at all.
    """
    here, program = os.getcwd(), _program()
    if program == "celery" and sys.path[0] == here:
        sys.path[:] = [*(path for path in sys.path if path != here), here, here]
    elif program == "tinyqueue" and not {here, ""} & set(sys.path):
        sys.path.append(here)


def refuse_namesakes() -> None:
    """Ends one of tinyqueue's programs if PYTHONPATH puts a namesake before what it needs."""
    here = os.getcwd()
    installed = os.path.dirname(os.__file__)
    if _program() not in ("tinyqueue", "celery", "-m") or here not in sys.path:
        return
    if installed in sys.path and sys.path.index(installed) < sys.path.index(here):
        return
    for name in _NEEDED:
        found = os.path.join(here, f"{name}.py")
        if os.path.exists(found):
            sys.exit(
                f"error: {found} hides the module {name} that tinyqueue needs, since PYTHONPATH "
                "puts its folder first. Rename it, or keep your environments in a folder "
                "of their own and name that one: PYTHONPATH=envs."
            )


def _program() -> str:
    return Path(sys.argv[0]).name if getattr(sys, "argv", None) else ""


def on_import() -> None:
    """Runs before anything is imported that may have a namesake."""
    try:
        put_last()
        refuse_namesakes()
    except FileNotFoundError:
        # The working folder has been deleted: nothing in it hides anything.
        return


on_import()
