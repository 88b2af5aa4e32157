"""Views and tables show text from the network as it is, and are not drawn on by it."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from hostile import OBEYED, TEXTS, obeyed
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tinyqueue.monitor.console import PrintableConsole
from tinyqueue.monitor.lines import LineView
from tinyqueue.monitor.live import LiveView
from tinyqueue.monitor.view import RunHeader, Snapshot
from tinyqueue.printable import MOST

CHUNKS = ["]0;pwned ".join(OBEYED[start : start + 50]) for start in range(0, len(OBEYED), 50)]
SNAPSHOT = Snapshot(time_s=20.0, env_steps=6_049, updates=30, episodes=50, return_mean=2.5)


def terminal() -> PrintableConsole:
    return PrintableConsole(
        file=io.StringIO(), force_terminal=True, color_system="truecolor", width=100, _environ={}
    )


def written(console: PrintableConsole) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("text", [*TEXTS, *CHUNKS])
def test_whatever_is_drawn_passes_through_the_same_place(text: str) -> None:
    console = terminal()
    table = Table(title=text, caption=text)
    table.add_column(text)
    table.add_row(text)
    table.add_row(Text(text[:MOST]))

    console.print(text)
    console.print(Group(Panel(Text(text[:MOST]), title=Text(text[:MOST])), table))

    assert obeyed(written(console), has_colours=True) == []
    assert written(console).count("\n") < 3_000


def test_what_looks_like_markup_is_text() -> None:
    console = terminal()
    console.print("[link=file:///etc/passwd]here[/link] [/closed] :boom:")

    assert written(console) == "[link=file:///etc/passwd]here[/link] [/closed] :boom:\n"


@pytest.mark.parametrize("text", [*TEXTS, *CHUNKS])
def test_no_message_is_obeyed_by_the_terminal_of_a_view(text: str, header: RunHeader) -> None:
    console, file = terminal(), io.StringIO()
    for view in (LiveView(console), LineView(file)):
        view.start(replace(header, environment=text[:100]))
        view.update(SNAPSHOT)
        view.message(text)
        view.stop()

    assert obeyed(written(console), has_colours=True) == []
    assert obeyed(file.getvalue()) == []
    assert len(file.getvalue()) < 2 * MOST
    assert not any(line.startswith("error: forged") for line in file.getvalue().splitlines())
