"""Processes that a campaign keeps running, as a service manager would."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from cluster import Process

_FORKED_S = 2.0


class Kept:
    """A process that is started again whenever it has ended.

    Args:
        name: In reports and of its log files.
        command: Its argv.
        environment: All of its variables.
        folder: For its logs, one per start.

    Attributes:
        is_meant_to_end: Whether the schedule has ended it, or may have. Reset by :meth:`start`.
        starts: How often it was started.
        started_s: When, the last time, on the monotonic clock.
    """

    def __init__(
        self, name: str, command: list[str], environment: dict[str, str], folder: Path
    ) -> None:
        self.name = name
        self._command, self._environment, self._folder = command, environment, folder
        self.is_meant_to_end = False
        self.starts = 0
        self.started_s = 0.0
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        """The one of the last start."""
        assert self._process is not None
        return self._process

    @property
    def log(self) -> Path:
        """Of the last start."""
        return self._folder / f"{self.name}-{self.starts}.log"

    def start(self) -> None:
        """Starts it, for the first time or again."""
        self.starts += 1
        self.started_s = time.monotonic()
        self._process = Process(self.name, self._command, self._environment, self.log)
        self.is_meant_to_end = False

    def kill(self) -> None:
        """-9, on purpose."""
        self.is_meant_to_end = True
        self.process.kill()

    def end(self, within_s: float = 120.0) -> str:
        """SIGTERM, on purpose. Returns what was wrong with how it ended; empty if nothing was."""
        self.is_meant_to_end = True
        if self.process.is_running:
            self.process.terminate()
        try:
            code = self.process.wait(within_s)
        except AssertionError:
            self.process.kill()
            return f"{self.name} still ran {within_s:g} s after SIGTERM; {self.log}"
        return "" if code == 0 else f"{self.name} ended with {code} after SIGTERM; {self.log}"

    def freeze(self) -> None:
        """SIGSTOP, with its children."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT, with its children."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self.process.is_running:
            for pid in (*self.process.children, self.process.pid):
                signal_if_alive(pid, number)


def signal_if_alive(pid: int, number: int) -> None:
    """Sends a signal to a process that may be gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


class Endings:
    """Notes every process that has ended and was not meant to, pool children included.

    Args:
        players: Workers, whose children are watched too.
        learners: Learners.
        note: Called with a sentence about each.
    """

    def __init__(
        self, players: list[Kept], learners: list[Kept], note: Callable[[str, str], None]
    ) -> None:
        self.excused: set[int] = set()
        """Pool children that the schedule has killed."""
        self.excuses_all = False
        """Whether pool children may end for now, since a task of the schedule kills them."""
        self._players, self._learners, self._note = players, learners, note
        self._children: dict[str, tuple[int, dict[int, float]]] = {}
        self._noted: set[tuple[str, int]] = set()

    def look(self) -> None:
        """Call it a few times per second."""
        for kept in (*self._players, *self._learners):
            started = (kept.name, kept.starts)
            if started in self._noted or kept.is_meant_to_end or kept.process.is_running:
                continue
            # Read again: the schedule may have ended it meanwhile.
            if not kept.is_meant_to_end and started == (kept.name, kept.starts):
                self._noted.add(started)
                kind = "learner" if kept in self._learners else "worker"
                self._note(kind, f"{kept.name} ended with {kept.process.wait(1)}; {kept.log}")
        for kept in self._players:
            self._look_at_children(kept)

    def _look_at_children(self, kept: Kept) -> None:
        now_s, starts = time.monotonic(), kept.starts
        before_starts, before = self._children.get(kept.name, (starts, {}))
        pids = kept.process.children
        now = {pid: before.get(pid, now_s) for pid in pids if pid in before or _is_forked(pid)}
        if kept.is_meant_to_end or not kept.process.is_running or kept.starts != before_starts:
            self._children[kept.name] = kept.starts, {}
            return
        self._children[kept.name] = starts, now
        gone = before.keys() - now.keys() - self.excused
        # A worker also runs commands for a moment, such as the search for a library.
        for pid in gone if not self.excuses_all else ():
            if now_s - before[pid] > _FORKED_S:
                self._note("child", f"pool child {pid} of {kept.name} ended; {kept.log}")


def _is_forked(pid: int) -> bool:
    try:
        return b"celery" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
