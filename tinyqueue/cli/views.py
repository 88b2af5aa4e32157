"""Where a command shows a run while it goes on."""

from __future__ import annotations

from rich.console import Console

from tinyqueue.monitor.live import open_view
from tinyqueue.monitor.view import View


def view_beside(as_json: bool) -> View:
    """The view, on stderr when stdout is for a JSON object alone."""
    return open_view(Console(stderr=True)) if as_json else open_view()
