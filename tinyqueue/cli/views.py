"""Where a command shows a run while it trains."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from pathlib import Path

from tinyqueue.cli.output import own_stream, printed_to
from tinyqueue.monitor.console import PrintableConsole
from tinyqueue.monitor.lasting_view import LastingView
from tinyqueue.monitor.live import open_view


def view_beside(as_json: bool) -> LastingView:
    """The view, on stderr if stdout is reserved for a JSON object.

    It stays on the terminal even if standard output and error are redirected later.
    """
    stream = own_stream(sys.stderr if as_json else sys.stdout)
    return LastingView(open_view(PrintableConsole(file=stream)))


def led_aside(log: Path, serial: bool) -> AbstractContextManager[None]:
    """Inside it, what TensorFlow and environments print in this process goes to a file.

    Args:
        log: The file to append to.
        serial: Whether the environment may be debugged in this process: its output on stdout is
            then left alone unless a live view is drawn there.
    """
    is_seen = serial and not sys.stdout.isatty()
    return printed_to(log, 2) if is_seen else printed_to(log, 1, 2)
