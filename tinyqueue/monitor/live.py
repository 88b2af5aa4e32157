"""The view on a terminal: one frame, redrawn in place a few times per second."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import RLock

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tinyqueue.data.pace import Pace
from tinyqueue.monitor.console import PrintableConsole
from tinyqueue.monitor.history import ASCII_BLOCKS, BLOCKS, History, sparkline
from tinyqueue.monitor.lines import LineView
from tinyqueue.monitor.view import Progress, RunHeader, Snapshot, View, duration, number
from tinyqueue.printable import printable_lines

REFRESH_EVERY_S = 0.5
"""A frame costs 3.3 ms of a core here: 0.7 % of it at this rate."""
WIDTH = 96
"""Maximum width in columns; wider lines are harder to read."""


def open_view(console: Console | None = None) -> View:
    """The live view on a terminal, plain lines on anything else."""
    console = console or PrintableConsole()
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveView(console)
    return LineView(console.file)


_PAIR_WIDTH = 28


class LiveView:
    """A frame with the return, its course, progress towards the level, and rates.

    Args:
        console: The terminal.
        clock: Monotonic seconds.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._lock = RLock()
        self._history = History()
        self._next_s = -float("inf")
        self._header: RunHeader | None = None
        self._progress: Progress | None = None
        self._last: Snapshot | None = None
        self._live: Live | None = None

    @property
    def is_due(self) -> bool:
        """Whether the next frame is due, or progress has nothing yet to be measured from."""
        needs_first = self._progress is not None and self._progress.needs_first
        return needs_first or self._clock() >= self._next_s

    def start(self, header: RunHeader) -> None:
        """Takes over the terminal and draws an empty frame."""
        with self._lock:
            self._header = header
            self._progress = Progress(header)
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
            self._draw(None)

    def update(self, snapshot: Snapshot) -> None:
        """Redraws the frame if it is due."""
        with self._lock:
            self._last = snapshot
            if self._progress is not None:
                self._progress.see(snapshot)
            if self._live is not None and self._clock() >= self._next_s:
                self._history.add(snapshot.return_mean)
                self._draw(snapshot)
                self._next_s = self._clock() + REFRESH_EVERY_S

    def message(self, text: str) -> None:
        """Prints the text above the frame."""
        with self._lock:
            self._console.print(Text(printable_lines(text)))

    def stop(self) -> None:
        """Draws the last snapshot and releases the terminal."""
        with self._lock:
            if self._live is not None:
                self._draw(self._last)
                self._live.stop()
                self._live = None

    def _draw(self, snapshot: Snapshot | None) -> None:
        if self._live is not None and self._header and self._progress:
            drawn = frame(self._header, self._progress, self._history, snapshot, self._console)
            self._live.update(drawn, refresh=True)


def frame(
    header: RunHeader,
    progress: Progress,
    history: History,
    snapshot: Snapshot | None,
    console: Console,
) -> RenderableType:
    """The whole frame at one moment, as wide as the console but at most ``WIDTH`` columns."""
    width = min(console.width, WIDTH)
    body: RenderableType = Text("waiting for the first session batch", style="dim")
    if snapshot is not None and (snapshot.batches_set_aside or not snapshot.is_waiting):
        blocks = ASCII_BLOCKS if console.options.ascii_only else BLOCKS
        course = _course(progress, history, snapshot, width - 4, blocks)
        body = Group(course, "", _numbers(header, snapshot, width - 4))
    title = Text.assemble(
        (header.experiment, "bold"), (f" · {header.environment} · {header.algorithm}", "dim")
    )
    spent = duration(0.0 if snapshot is None else snapshot.time_s)
    subtitle = Text.assemble((f"{header.services} · {header.run_directory} · ", "dim"), spent)
    return Panel(
        body,
        title=title,
        title_align="left",
        subtitle=subtitle,
        subtitle_align="right",
        border_style="cyan",
        width=width,
    )


def _course(
    progress: Progress, history: History, snapshot: Snapshot, width: int, blocks: str
) -> RenderableType:
    points = history.points
    span = f"{number(min(points))} … {number(max(points))}" if points else ""
    drawn = max(width - 24 - max(len(span), len(progress.goal)), 8)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", width=8)
    table.add_column(justify="right", width=10, no_wrap=True)
    table.add_column(width=drawn, no_wrap=True)
    table.add_column(style="dim", no_wrap=True)
    course = Text(sparkline(points, drawn, blocks), style="green")
    table.add_row("return", Text(number(snapshot.return_mean), style="bold"), course, span)
    fraction = progress.fraction(snapshot)
    if fraction is not None:
        completed = fraction if progress.is_known(snapshot) else 0.0
        bar = ProgressBar(total=1.0, completed=completed, width=drawn)
        table.add_row("progress", progress.percent(snapshot), bar, progress.goal)
    return table


def _numbers(header: RunHeader, snapshot: Snapshot, width: int) -> RenderableType:
    full = "" if header.queue_batches is None else f" of {header.queue_batches}"
    greedy = "–" if snapshot.greedy_mean is None else number(snapshot.greedy_mean)
    pairs = (
        ("env steps", f"{snapshot.env_steps:,}"),
        ("env steps/s", number(snapshot.env_steps_per_s, 0)),
        ("policy lag", number(snapshot.policy_lag_mean)),
        ("updates", f"{snapshot.updates:,}"),
        ("updates/s", number(snapshot.updates_per_s)),
        ("queue", f"{snapshot.queue_depth:,}{full}"),
        ("episodes", f"{snapshot.episodes:,}"),
        ("mean length", number(snapshot.length_mean)),
        ("players", f"{snapshot.players:,}"),
        (f"{snapshot.policy} mean", "playing …" if snapshot.is_evaluating else greedy),
        ("set aside", f"{snapshot.batches_set_aside:,}"),
        ("dropped", f"{snapshot.batches_dropped:,}"),
        *_pace(snapshot.pace),
    )
    columns = min(max(width // _PAIR_WIDTH, 1), 3)
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(columns):
        table.add_column(style="dim", width=12, no_wrap=True)
        table.add_column(justify="right", width=13, no_wrap=True)
    for start in range(0, len(pairs), columns):
        table.add_row(*(text for pair in pairs[start : start + columns] for text in pair))
    return table


def _pace(pace: Pace | None) -> tuple[tuple[str, str], ...]:
    """Three more numbers where the environment owns its clock."""
    if pace is None:
        return ()
    return (
        ("action p50", f"{number(pace.p50_ms)} ms"),
        ("action p99", f"{number(pace.p99_ms)} ms"),
        ("missed ticks", f"{max(pace.missed_ticks, pace.late_ticks):,}"),
    )
