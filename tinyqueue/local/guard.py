"""Runs servers that must not outlive the process which started them.

Run as a script, with the standard library alone. A guard is a session of its own, so that
neither Ctrl-C nor a signal to its parent's group reaches it or its servers. It ends them
when it is told to, when one of them ends, and when its parent has gone, killed -9 included;
servers of a guard that is itself killed get SIGKILL from the kernel (Linux).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

GRACE_S = 10.0
"""Between SIGTERM and SIGKILL."""
PARENT_CHECK_S = 0.2
REAP_S = 2.0
"""What a server had started, such as Erlang's port programs, may take so long to notice."""
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def start_guarded(
    commands: Sequence[Sequence[str]],
    log: Path,
    environment: Mapping[str, str],
    scratch: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Starts servers under a guard; SIGTERM to the guard ends them, the last one first.

    Args:
        commands: One argv per server, started in this order. None of them may go to the
            background by itself.
        log: File that takes what they print.
        environment: Their whole environment.
        scratch: A folder that the guard deletes when it ends.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", __file__, str(os.getpid())),
                *(str(scratch or ""), json.dumps([list(command) for command in commands])),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environment),
            start_new_session=True,
        )


def end_guarded(guard: subprocess.Popen[bytes]) -> None:
    """Ends the servers of a guard, and returns when none is left."""
    guard.terminate()
    guard.wait(timeout=2 * GRACE_S)


def tail(log: Path, lines: int = 5) -> str:
    """The last lines that a server printed, for an error's text."""
    try:
        return " | ".join(log.read_text(errors="replace").strip().splitlines()[-lines:])
    except OSError:
        return ""


def main(parent: int, scratch: str, commands: list[list[str]]) -> int:
    wake, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    children = _Children()
    servers: list[int] = []
    try:
        before_exec = _dies_with_this_process()
        for command in commands:
            servers.append(children.start(command, before_exec))
        while not told and os.getppid() == parent and children.alive.issuperset(servers):
            if select.select([wake], [], [], PARENT_CHECK_S)[0]:
                os.read(wake, 4096)
            children.reap()
    finally:
        for pid in reversed(servers):
            children.end(pid, GRACE_S if os.getppid() == parent else 0.0)
        children.wait(lambda: children.none_left, REAP_S)
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)
    return 0 if told else 1


class _Children:
    """The servers; and what they leave behind, which this process inherits on Linux.

    Every one is reaped as it ends: a RabbitMQ node looks after its epmd once a minute, and
    orphans two processes each time.
    """

    def __init__(self) -> None:
        self.alive: set[int] = set()
        self.none_left = False

    def start(self, command: Sequence[str], before_exec: Callable[[], object] | None) -> int:
        pid = subprocess.Popen(command, preexec_fn=before_exec, start_new_session=True).pid
        self.alive.add(pid)
        return pid

    def reap(self) -> None:
        try:
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                self.alive.discard(pid)
        except ChildProcessError:
            self.alive.clear()
            self.none_left = True

    def end(self, pid: int, grace_s: float) -> None:
        if grace_s and pid in self.alive:
            os.kill(pid, signal.SIGTERM)
            self.wait(lambda: pid not in self.alive, grace_s)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        self.wait(lambda: pid not in self.alive, REAP_S)

    def wait(self, until: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        self.reap()
        while not until() and time.monotonic() < deadline:
            time.sleep(0.005)
            self.reap()


def _dies_with_this_process() -> Callable[[], object] | None:
    """What a child calls before its exec; and makes this process the heir of grandchildren."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])))
