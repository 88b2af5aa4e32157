"""Celery workers of this machine, as child processes that end with their parent."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Self

from tinyqueue.local.guard import end_guarded, start_guarded, tail
from tinyqueue.settings import Settings
from tinyqueue.working_folder import python_of


class LocalPlayers:
    """One prefork worker with some pool children, which play and evaluate.

    Args:
        settings: Where the services are; handed on by environment variables.
        count: Pool children, each a player.
        queues: The queues they take tasks from.
        log: File that takes what they print.
    """

    def __init__(self, settings: Settings, count: int, queues: tuple[str, ...], log: Path) -> None:
        self._settings = settings
        self._count = count
        self._queues = queues
        self._log = log
        self._guard: subprocess.Popen[bytes] | None = None
        self._is_ending = False

    def start(self) -> None:
        """Returns at once; the workers connect by themselves."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        command = [
            *python_of("celery", "-A", "tinyqueue", "worker"),
            *("-Q", ",".join(self._queues), "-c", str(self._count)),
            *("-n", f"local-{os.getpid()}@%h", "--loglevel", "INFO"),
            # Nobody else is there to gossip with, and start-up waits for a mingle.
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        ]
        self._guard = start_guarded([command], self._log, self._environment())

    def restart(self, count: int, queues: tuple[str, ...]) -> None:
        """Other players in place of these; none where none were started."""
        if self._guard is not None:
            self.stop()
            self._count, self._queues = count, queues
            self.start()

    def stop(self) -> None:
        """Ends them: tasks that are being played are finished first, for ten seconds at most."""
        if self._guard is not None:
            self._is_ending = True
            end_guarded(self._guard)
            self._guard = None
            self._is_ending = False

    @property
    def pid(self) -> int:
        """Of the process above the worker; 0 when none was started."""
        return self._guard.pid if self._guard else 0

    @property
    def ended(self) -> str | None:
        """What the worker said last when it has ended by itself; None while it runs.

        From any thread, also while others are started in its place.
        """
        guard = self._guard
        if guard is None or self._is_ending or guard.poll() is None:
            return None
        # It may have been told to end since.
        if self._is_ending or guard is not self._guard:
            return None
        return tail(self._log) or f"exit code {guard.returncode}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _environment(self) -> dict[str, str]:
        environment = dict(os.environ)
        environment.update(
            TINYQUEUE_BROKER_URL=self._settings.broker,
            TINYQUEUE_REDIS_URL=self._settings.redis,
            # With the module of a known package that the command has added.
            TINYQUEUE_ENVIRONMENT_MODULES=",".join(self._settings.environment_modules),
            # One thread per player: they share the cores with the learner.
            OMP_NUM_THREADS="1",
            OPENBLAS_NUM_THREADS="1",
        )
        for name in ("BROKER_URL", "REDIS_URL", "ENVIRONMENT_MODULES"):
            environment.pop(f"TINYQUEUE_{name}_FILE", None)
        return environment
