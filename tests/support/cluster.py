"""Workers and learners as real processes on real services, the way an operator starts them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tinyqueue.run.run_directory import RunDirectory
from tinyqueue.store.client import connect
from tinyqueue.store.status import StatusBoard

T = TypeVar("T")
PRESET = "cartpole-impala"
ENDLESS = ("--stop-at-return", "1e9", "--max-env-steps", "1000000000")
"""For tests of something else than learning: CartPole is solved in seconds, and a fast machine is
through a preset's budget in as many."""
PATIENCE_S = 120.0
"""What is waited for comes in seconds; TensorFlow on a cold disk and busy cores takes a minute."""
_PYTHON = (sys.executable, "-W", "ignore")


class Process:
    """A child in a session of its own, with everything that it printed.

    Args:
        reads: Whether it is told something by :meth:`tell`.
    """

    def __init__(
        self, name: str, command: list[str], env: dict[str, str], log: Path, reads: bool = False
    ) -> None:
        # Ends with this process, killed -9 included, where util-linux is installed.
        setpriv = shutil.which("setpriv")
        guarded = [setpriv, "--pdeathsig", "KILL", *command] if setpriv else command
        self.name = name
        self._log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                guarded,
                # A SIGABRT then prints where each thread is.
                env=env | {"PYTHONFAULTHANDLER": "1"},
                stdin=subprocess.PIPE if reads else subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=log.parent,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        return self._popen.poll() is None

    @property
    def printed(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def children(self) -> list[int]:
        """A worker's pool children."""
        try:
            text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        except OSError:
            return []
        return [int(pid) for pid in text.split()]

    def tell(self, line: str) -> None:
        """Writes a line to its standard input, the only one."""
        assert self._popen.stdin is not None
        with self._popen.stdin as stdin:
            stdin.write(f"{line}\n".encode())

    def terminate(self) -> None:
        self._popen.terminate()

    def kill(self) -> None:
        """-9, with everything below it, as when a machine loses its power."""
        for pid in (*self.children, self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait(timeout=60)
        if self._popen.stdin is not None:
            self._popen.stdin.close()

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """The exit code."""
        try:
            return self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            said = self.printed[-3000:] + self._stacks()
            raise AssertionError(f"{self.name} still runs after {timeout_s:g} s:\n{said}") from None

    def _stacks(self) -> str:
        """Where each thread of a process that does not end is. It ends the process."""
        known = len(self.printed)
        os.kill(self.pid, signal.SIGABRT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(10)
        return self.printed[known:]


class Cluster:
    """Processes that share one set of services, a folder of runs and the players' journal.

    Args:
        broker_url, redis_url: The services.
        folder: For logs, runs and journal.
    """

    def __init__(self, broker_url: str, redis_url: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.broker_url = broker_url
        self.redis_url = redis_url
        self.folder = folder
        self.runs = folder / "runs"
        self.journal = folder / "journal"
        self.redis = connect(redis_url)
        self._processes: list[Process] = []

    def worker(
        self,
        *options: str,
        name: str = "",
        children: int = 1,
        queues: str = "play,evaluate",
        **env: str,
    ) -> Process:
        """``celery -A tinyqueue worker``, for play and evaluation tasks."""
        name = name or f"worker-{len(self._processes)}"
        command = [*_PYTHON, "-m", "celery", "-A", "tinyqueue", "worker", "-Q", queues]
        command += ["-c", str(children), "-n", f"{name}@%h", "--loglevel", "INFO"]
        command += ["--without-gossip", "--without-mingle", *options]
        return self._start(name, command, env)

    def celery(self, *args: str, **env: str) -> Process:
        """``celery -A tinyqueue``, with no options but these."""
        command = [*_PYTHON, "-m", "celery", "-A", "tinyqueue", *args]
        return self._start(f"celery-{len(self._processes)}", command, env)

    def learner(self, *args: str, target: str = PRESET, **env: str) -> Process:
        """``tinyqueue learner start``."""
        command = [*_PYTHON, "-m", "tinyqueue.cli.main", "learner", "start", target, *args]
        return self._start(f"learner-{len(self._processes)}", command, env)

    def tinyqueue(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        """A command that ends by itself."""
        return subprocess.run(
            [*_PYTHON, "-m", "tinyqueue.cli.main", *args],
            env=self._environment(env),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def status(self, experiment: str = PRESET) -> dict[str, Any]:
        """What the learner last wrote about itself: at most a second old while it is well."""
        return StatusBoard(self.redis).read(experiment) or {}

    def env_steps(self, experiment: str = PRESET) -> int:
        return int(self.status(experiment).get("env_steps", 0))

    def run_path(self, experiment: str = PRESET) -> Path:
        path = RunDirectory.newest(self.runs, experiment)
        assert path is not None, f"{experiment} has no run"
        return path

    def trains_on(
        self, by: int = 20_000, *, experiment: str = PRESET, within_s: float = PATIENCE_S
    ) -> None:
        """Returns when so many more env steps have been trained on."""
        goal = self.env_steps(experiment) + by
        self.until(
            lambda: self.env_steps(experiment) >= goal, f"{experiment} trains to {goal}", within_s
        )

    def until(self, found: Callable[[], T], what: str, within_s: float = PATIENCE_S) -> T:
        """Polls until there is something, and returns it; else fails with what everybody said."""
        deadline_s = time.monotonic() + within_s
        while not (something := found()):
            assert time.monotonic() < deadline_s, f"not in {within_s:g} s: {what}\n{self._said()}"
            time.sleep(0.05)
        return something

    def stop(self) -> None:
        """Leaves no process behind."""
        for process in self._processes:
            process.kill()
        self.redis.close()

    def _start(self, name: str, command: list[str], extra: dict[str, str]) -> Process:
        log = self.folder / f"{name}.log"
        process = Process(name, command, self._environment(extra), log)
        self._processes.append(process)
        return process

    def _environment(self, extra: dict[str, str]) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("TINYQUEUE_")}
        return {
            **kept,
            "TINYQUEUE_BROKER_URL": self.broker_url,
            "TINYQUEUE_REDIS_URL": self.redis_url,
            "TINYQUEUE_RUNS_DIR": str(self.runs),
            "TINYQUEUE_PUBLISH_JOURNAL": str(self.journal),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
            **extra,
        }

    def _said(self) -> str:
        return "\n".join(
            f"--- {p.name} ({'running' if p.is_running else p.wait(0)}):\n{p.printed[-3000:]}"
            for p in self._processes
        )
