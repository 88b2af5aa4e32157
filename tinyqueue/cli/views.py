"""Where a command shows a run while it goes on."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from pathlib import Path

from rich.console import Console

from tinyqueue.cli.output import own_stream, printed_to
from tinyqueue.monitor.lasting_view import LastingView
from tinyqueue.monitor.live import open_view


def view_beside(as_json: bool) -> LastingView:
    """The view, on stderr when stdout is for a JSON object alone.

    It stays on the terminal when standard output and error are led elsewhere.
    """
    stream = own_stream(sys.stderr if as_json else sys.stdout)
    return LastingView(open_view(Console(file=stream)))


def led_aside(log: Path, serial: bool) -> AbstractContextManager[None]:
    """Inside, what TensorFlow and environments print in this process goes to a file.

    Args:
        serial: The environment is debugged here: where no view is drawn over it, what it prints
            is left where it is.
    """
    is_seen = serial and not sys.stdout.isatty()
    return printed_to(log, 2) if is_seen else printed_to(log, 1, 2)
