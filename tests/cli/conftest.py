"""The command as a person types it, in this process."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass

import pytest
import structlog

from tinyqueue.cli.main import main


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """An empty folder, and no services named."""
    monkeypatch.chdir(tmp_path)
    # Set first, so that what a command sets is taken back.
    monkeypatch.setenv("TINYQUEUE_ENVIRONMENT_MODULES", "")
    for name in ("BROKER_URL", "REDIS_URL", "RUNS_DIR", "ENVIRONMENT_MODULES"):
        monkeypatch.delenv(f"TINYQUEUE_{name}", raising=False)
        monkeypatch.delenv(f"TINYQUEUE_{name}_FILE", raising=False)


@pytest.fixture(autouse=True)
def logs_of_its_own():
    """A command configures logging for its process, which here is everybody's."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def tinyqueue(monkeypatch, capsys):
    """``tinyqueue("info", "--json")``."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["tinyqueue", *map(str, words)])
        capsys.readouterr()  # What a test said itself until now is not the command's.
        code = 0
        try:
            main()
        except SystemExit as error:
            code = int(error.code or 0)
        return Said(code, *capsys.readouterr())

    return run
