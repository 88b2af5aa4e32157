"""Where a command's log lines go."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import structlog


def log_to_file(path: Path) -> None:
    """Sends log lines to a file, so that they do not disturb a live view."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = logging.FileHandler(path)
    logging.basicConfig(handlers=[file], level=logging.INFO, force=True)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ],
        logger_factory=structlog.PrintLoggerFactory(file.stream),
    )


def log_to_stderr() -> None:
    """Sends log lines to standard error, since standard output is for results."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, force=True)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                # The default also prints local variables: URLs with their passwords.
                exception_formatter=structlog.dev.plain_traceback,
            ),
        ],
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
