"""Runs servers that must not outlive the process that started them.

It runs as a script and uses only the standard library. A guard has its own session, so neither
Ctrl-C nor a signal to its parent's group reaches it or its servers. It ends them when it is told
to, when one of them ends, and when its parent is gone, even by ``kill -9``. If the guard itself is
killed, the kernel sends its servers SIGKILL (Linux).
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
"""How long programs that a server had started, such as Erlang's ports, may take to notice."""
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
        commands: One argv per server, started in this order. None of them may put itself in the
            background.
        log: The file for their output.
        environment: All of their environment variables.
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
    """Ends the servers of a guard, and returns once none is left."""
    guard.terminate()
    guard.wait(timeout=2 * GRACE_S)


def tail(log: Path, lines: int = 5) -> str:
    """The last lines that a server printed, joined for an error message."""
    try:
        return " | ".join(log.read_text(errors="replace").strip().splitlines()[-lines:])
    except OSError:
        return ""


def main(parent: int, scratch: str, commands: list[list[str]]) -> int:
    """Guards servers until it is told to end, one of them ends, or the parent is gone.

    Args:
        parent: Process id of the parent.
        scratch: A folder to delete at the end; empty for none.
        commands: One argv per server.

    Returns:
        The exit code: 0 if it was told to end, else 1.
    """
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
    """The servers, and the orphans they leave, which this process inherits on Linux.

    Each is reaped as it ends: a RabbitMQ node checks its epmd once a minute, and orphans two
    processes each time.
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
    """What a child calls before its exec. Also makes this process inherit its grandchildren."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])))
