"""Runs other libraries in separate virtual environments and processes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

INSTALL_TIMEOUT_S = 900.0
START_TIMEOUT_S = 120.0
"""Allowed in addition to the measured seconds: imports, start of processes, warm-up, end."""


class PeerError(Exception):
    """A library could not be installed or measured; the message says why, in one line."""


def install(folder: Path, requirements: Sequence[str]) -> None:
    """Creates a virtual environment with the requirements, unless it exists already.

    Raises:
        PeerError: It cannot be created. What is left does not look complete.
    """
    done = folder / "requirements.txt"
    wanted = "\n".join(requirements) + "\n"
    if done.is_file() and done.read_text() == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--no-input", "--quiet"]
    for step in ([sys.executable, "-m", "venv", str(folder)], [*pip, *requirements]):
        try:
            subprocess.run(
                step, check=True, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S
            )
        except subprocess.CalledProcessError as error:
            raise PeerError(f"cannot be installed: {_last_line(error.stderr)}") from error
        except subprocess.TimeoutExpired as error:
            raise PeerError(f"cannot be installed within {INSTALL_TIMEOUT_S:g} s") from error
    done.write_text(wanted)


def measure(python: Path, command: Sequence[str], seconds: float) -> dict[str, Any]:
    """Runs a script with ``--seconds`` and returns the last JSON object that it printed.

    Its processes form a group, which has always ended when this returns.

    Raises:
        PeerError: It failed, did not end in time, or printed no ``env_steps_per_s``.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [str(python), *command, "--seconds", f"{seconds:g}"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=log,
            start_new_session=True,
        )
        try:
            status = process.wait(seconds + START_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise PeerError(f"no end within {seconds + START_TIMEOUT_S:g} s") from error
        finally:
            _end_group(process)
        out.seek(0)
        log.seek(0)
        text = out.read()
        if status != 0:
            raise PeerError(f"exit status {status}: {_last_line(log.read() or text)}")
    result = last_json_object(text)
    if result is None or not isinstance(result.get("env_steps_per_s"), int | float):
        raise PeerError("it printed no JSON object with env_steps_per_s")
    return result


def last_json_object(text: str) -> dict[str, Any] | None:
    """The last JSON object that starts a line and ends the text; None if there is none."""
    lines = text.rstrip().splitlines()
    for start in range(len(lines) - 1, -1, -1):
        if lines[start].startswith("{"):
            with contextlib.suppress(ValueError):
                value = json.loads("\n".join(lines[start:]))
                if isinstance(value, dict):
                    return value
    return None


def _end_group(process: subprocess.Popen[bytes]) -> None:
    # SIGKILL also reaches worker processes whose parent has already ended.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_line(text: str | None) -> str:
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["it said nothing"])[-1]
