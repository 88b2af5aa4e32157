"""Where a command shows a run while it goes on."""

from __future__ import annotations

from rich.console import Console

from tinyqueue.monitor.lasting_view import LastingView
from tinyqueue.monitor.live import open_view


def view_beside(as_json: bool) -> LastingView:
    """The view, on stderr when stdout is for a JSON object alone."""
    return LastingView(open_view(Console(stderr=True)) if as_json else open_view())
