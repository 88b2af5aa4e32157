"""One command in a session of its own: what it said and when, how it ended, and what it left.

Its processes are found again by a mark in their environment, by their session and by their
parents, so that what a killed parent left behind is found too.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MARK = "TINYQUEUE_CASE"
MOST_PROCESSES = 300
"""More at once is taken for a fork bomb, and all of it is killed. A program for each of 100
games, and for each slot of two players, is fair."""
_GRACE_S = 5.0
_LOOK_EVERY_S = 0.25
_LISTENING = "0A"


@dataclass(frozen=True)
class Line:
    """A line of the terminal.

    Attributes:
        at_s: Seconds since the command was given.
    """

    at_s: float
    text: str


@dataclass(frozen=True)
class Ended:
    """A command that is over.

    Attributes:
        lines: What it printed, stdout and stderr in the order of their coming.
        exit_code: Negative for a signal; None when it had to be killed.
        seconds: From the command to its end.
        killed_for: Why it had to be killed; empty when it ended by itself.
        left: Its processes that were still there a few seconds after its end, as command lines.
        open_ports: Ports it listened on that still listen.
    """

    lines: tuple[Line, ...]
    exit_code: int | None
    seconds: float
    killed_for: str
    left: tuple[str, ...]
    open_ports: tuple[int, ...]

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)

    @property
    def longest_silence_s(self) -> float:
        """The longest time between two lines, from the command to its end."""
        times = [0.0, *(line.at_s for line in self.lines), self.seconds]
        return max(later - earlier for earlier, later in itertools.pairwise(times))


@dataclass(frozen=True)
class _Process:
    pid: int
    started: str
    """Clock ticks since the machine's start: a pid alone may be given twice."""


@dataclass
class _Family:
    """All processes that a command has started, as far as they were seen."""

    mark: bytes
    known: set[_Process] = field(default_factory=set)
    ports: set[int] = field(default_factory=set)

    def look(self) -> set[_Process]:
        """Those that run now. Zombies do not count."""
        table = _table()
        alive = {process for process in self.known if process in table}
        grew = True
        while grew:
            pids = {process.pid for process in alive}
            found = {
                process
                for process, (parent, session) in table.items()
                if process not in alive and (parent in pids or session in pids)
            }
            if not alive:
                found |= {process for process in table if self._is_marked(process.pid)}
            grew = bool(found)
            alive |= found
        alive |= {process for process in table if self._is_marked(process.pid)}
        self.known |= alive
        return alive

    def look_at_ports(self) -> None:
        sockets = _listening()
        if sockets:
            for process in self.known:
                self.ports |= {sockets[inode] for inode in _inodes(process.pid) if inode in sockets}

    def kill(self) -> None:
        for _ in range(20):
            alive = self.look()
            if not alive:
                return
            for process in alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            time.sleep(0.1)

    def _is_marked(self, pid: int) -> bool:
        try:
            return self.mark in Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False


def run(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], within_s: float
) -> Ended:
    """Runs a command to its end, or kills it with all that it has started.

    Args:
        command: Program and arguments.
        folder: Where it works.
        environment: All of its environment variables.
        within_s: Seconds after which it is killed.
    """
    mark = secrets.token_hex(8)
    family = _Family(f"{MARK}={mark}".encode())
    began_s = time.monotonic()
    process = subprocess.Popen(
        _guarded(command),
        cwd=folder,
        env={**environment, MARK: mark},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    lines: list[Line] = []
    reader = threading.Thread(target=_read, args=(process, lines, began_s), daemon=True)
    reader.start()
    try:
        killed_for = _wait(process, family, began_s + within_s)
        seconds = time.monotonic() - began_s
        left = () if killed_for else _left_after_grace(family)
    finally:
        family.kill()
    code = process.wait()
    reader.join(_GRACE_S)
    open_ports = family.ports & set(_listening().values())
    return Ended(
        tuple(lines),
        None if killed_for else code,
        seconds,
        killed_for,
        left,
        tuple(sorted(open_ports)),
    )


def _guarded(command: Sequence[str]) -> list[str]:
    """Without core files; ends with this process where util-linux is installed."""
    guarded = ["sh", "-c", 'ulimit -c 0; exec "$@"', "sh", *command]
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", *guarded] if setpriv else guarded


def _read(process: subprocess.Popen[bytes], lines: list[Line], began_s: float) -> None:
    assert process.stdout is not None
    with process.stdout as pipe:
        for raw in pipe:
            text = raw.decode(errors="replace").rstrip("\n")
            lines.append(Line(time.monotonic() - began_s, text))


def _wait(process: subprocess.Popen[bytes], family: _Family, deadline_s: float) -> str:
    looks = 0
    while process.poll() is None:
        if time.monotonic() > deadline_s:
            return "it had not ended"
        if len(family.look()) > MOST_PROCESSES:
            return f"it had more than {MOST_PROCESSES} processes at once"
        if looks % 4 == 0:
            family.look_at_ports()
        looks += 1
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_EVERY_S)
    return ""


def _left_after_grace(family: _Family) -> tuple[str, ...]:
    deadline_s = time.monotonic() + _GRACE_S
    while (alive := family.look()) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    return tuple(sorted(_command_line(process.pid) for process in alive))


def _table() -> dict[_Process, tuple[int, int]]:
    """Every process of the machine with its parent and its session."""
    table = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                # After the name in parentheses, which may hold spaces: state, parent, group, …
                fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] not in "ZX":
                table[_Process(int(name), fields[19])] = (int(fields[1]), int(fields[3]))
    return table


def _listening() -> dict[str, int]:
    """Inodes of the sockets that listen, with their ports."""
    ports = {}
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
                fields = row.split()
                if fields[3] == _LISTENING:
                    ports[fields[9]] = int(fields[1].rpartition(":")[2], 16)
    return ports


def _inodes(pid: int) -> list[str]:
    inodes = []
    with contextlib.suppress(OSError):
        for link in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/{pid}/fd/{link}")
                if target.startswith("socket:["):
                    inodes.append(target[8:-1])
    return inodes


def _command_line(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return f"process {pid}"
    return f"{pid}: {' '.join(word.decode(errors='replace') for word in words).strip()[:120]}"
