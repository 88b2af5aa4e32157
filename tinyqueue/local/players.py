"""Celery workers on this machine, as child processes that end with their parent."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Self

from tinyqueue.local.guard import end_guarded, start_guarded, tail
from tinyqueue.settings import Settings
from tinyqueue.working_folder import python_of

_NEEDS_SHM = "Celery's pool needs a writable /dev/shm: mount one, or train with --serial"


class LocalPlayers:
    """One prefork worker with some pool children, which play and evaluate.

    Args:
        settings: Where the services are; passed on in environment variables.
        count: Pool children, each a player.
        queues: The queues they take tasks from.
        log: The file for their output.
    """

    def __init__(self, settings: Settings, count: int, queues: tuple[str, ...], log: Path) -> None:
        self._settings = settings
        self._count = count
        self._queues = queues
        self._log = log
        self._guard: subprocess.Popen[bytes] | None = None
        self._is_ending = False

    def start(self) -> None:
        """Starts the worker and returns at once; it connects by itself."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        command = [
            *python_of("celery", "-A", "tinyqueue", "worker"),
            *("-Q", ",".join(self._queues), "-c", str(self._count)),
            *("-n", f"local-{os.getpid()}@%h", "--loglevel", "INFO"),
            # There is nobody to gossip with, and a mingle would delay the start.
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        ]
        self._guard = start_guarded([command], self._log, self._environment())

    def restart(self, count: int, queues: tuple[str, ...]) -> None:
        """Replaces the players by others; does nothing if none were started."""
        if self._guard is not None:
            self.stop()
            self._count, self._queues = count, queues
            self.start()

    def stop(self) -> None:
        """Ends the players; tasks being played get at most ten seconds to finish."""
        if self._guard is not None:
            self._is_ending = True
            end_guarded(self._guard)
            self._guard = None
            self._is_ending = False

    @property
    def pid(self) -> int:
        """Process id of the worker's guard; 0 if none was started."""
        return self._guard.pid if self._guard else 0

    @property
    def ended(self) -> str | None:
        """The worker's last output if it has ended by itself; None while it runs.

        Any thread may read it, also during a restart.
        """
        guard = self._guard
        if guard is None or self._is_ending or guard.poll() is None:
            return None
        # It may have been stopped in the meantime.
        if self._is_ending or guard is not self._guard:
            return None
        told = tail(self._log) or f"exit code {guard.returncode}"
        return f"{told} ({_NEEDS_SHM})" if "SemLock" in told else told

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _environment(self) -> dict[str, str]:
        # Celery's own variables would win over the settings; they are another project's.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CELERY_")}
        environment.update(
            TINYQUEUE_BROKER_URL=self._settings.broker,
            TINYQUEUE_REDIS_URL=self._settings.redis,
            # With the module of a known package that the command has added.
            TINYQUEUE_ENVIRONMENT_MODULES=",".join(self._settings.environment_modules),
            # One thread per player: they share the cores with the learner.
            OMP_NUM_THREADS="1",
            OPENBLAS_NUM_THREADS="1",
        )
        # What is left unpublished waits with its run.
        environment.setdefault("TINYQUEUE_SPOOL_DIR", str((self._log.parent / "spool").absolute()))
        for name in ("BROKER_URL", "REDIS_URL", "ENVIRONMENT_MODULES"):
            environment.pop(f"TINYQUEUE_{name}_FILE", None)
        return environment
