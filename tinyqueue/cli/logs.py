"""Where a command's log lines go, all escaped for whoever reads them."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import structlog

from tinyqueue.printable import make_printable, printable_event


def log_to_file(path: Path) -> None:
    """Sends log lines to a file, so that they do not disturb a live view."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = logging.FileHandler(path)
    logging.basicConfig(handlers=[file], level=logging.INFO, force=True)
    make_printable(logging.getLogger())
    structlog.configure(
        processors=[*_common(), structlog.processors.JSONRenderer(default=str)],
        logger_factory=structlog.PrintLoggerFactory(file.stream),
    )


def log_to_stderr() -> None:
    """Sends log lines to standard error, since standard output is for results."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, force=True)
    make_printable(logging.getLogger())
    structlog.configure(
        processors=[*_common(), _for_people(colors=sys.stderr.isatty())],
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def log_as_before() -> None:
    """Escapes the log lines of a program that has not chosen where they go; warnings only.

    The view says everything else that a person should know.
    """
    if not structlog.is_configured():
        structlog.configure(
            processors=[*_common(), _for_people(colors=sys.stdout.isatty())],
            wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        )


def _common() -> list[Any]:
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        printable_event,
    ]


def _for_people(*, colors: bool) -> structlog.dev.ConsoleRenderer:
    # The default also prints local variables: URLs with their passwords.
    return structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback
    )
