"""The stages that a player keeps open from task to task, as many as its memory holds."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from tinyqueue.player.memory import share_bytes, used_bytes
from tinyqueue.player.open_stage import OpenStage

IDLE_STAGE_S = 300.0
MOST_STAGES = 64
"""Each has a thread and a connection of its own."""

log = structlog.get_logger(__name__)


class OpenStages:
    """One stage per experiment; the least recently used is closed when memory is short.

    A stage counts as large as the process has grown while it was built.

    Args:
        on_close: Called with an experiment whose stage has been closed.
        most_bytes: What all of them may take; one stage is kept however large it is.
        used_bytes: Memory of this process at present.
    """

    def __init__(
        self,
        on_close: Callable[[str], None],
        most_bytes: int | None = None,
        used_bytes: Callable[[], int] = used_bytes,
    ) -> None:
        self._on_close = on_close
        self._most_bytes = share_bytes() if most_bytes is None else most_bytes
        self._used_bytes = used_bytes
        self._stages: dict[str, OpenStage] = {}
        self._sizes: dict[str, int] = {}

    def get(self, experiment: str) -> OpenStage | None:
        """The experiment's stage, if it is open."""
        return self._stages.get(experiment)

    def open(self, experiment: str, build: Callable[[], OpenStage]) -> OpenStage:
        """Builds the experiment's stage, and closes others until all fit."""
        self.close_idle()
        if len(self._stages) >= MOST_STAGES:
            self._close_least(f"more than {MOST_STAGES} experiments are played in turn")
        before = self._used_bytes()
        opened = build()
        self._sizes[experiment] = max(0, self._used_bytes() - before)
        self._stages[experiment] = opened
        while len(self._stages) > 1 and sum(self._sizes.values()) > self._most_bytes:
            used = sum(self._sizes.values()) / 2**20
            self._close_least(
                f"open stages take {used:.0f} MB, and this player's share of the memory is "
                f"{self._most_bytes / 2**20:.0f} MB",
            )
        return opened

    def close_idle(self) -> None:
        """Closes the stages that nobody has played on for five minutes."""
        oldest_s = time.monotonic() - IDLE_STAGE_S
        for experiment in [e for e, opened in self._stages.items() if opened.used_s < oldest_s]:
            self.close(experiment, "idle for five minutes")

    def save(self) -> None:
        """Closes the outboxes of realtime stages, at the end of the process."""
        for opened in self._stages.values():
            if opened.outbox is not None:
                opened.outbox.close()

    def close_all(self, reason: str) -> None:
        """Closes all stages."""
        for experiment in list(self._stages):
            self.close(experiment, reason)

    def close(self, experiment: str, reason: str) -> None:
        """Closes the experiment's stage with its environments, if it is open."""
        opened = self._stages.pop(experiment, None)
        self._sizes.pop(experiment, None)
        if opened is None:
            return
        if opened.pending is not None:
            log.warning("unconfirmed batch given up", batch=opened.pending.message_id)
        opened.close()
        self._on_close(experiment)
        log.info("stage closed", experiment=experiment, stage=opened.stage.id, reason=reason)

    def _close_least(self, reason: str) -> None:
        self.close(min(self._stages, key=lambda name: self._stages[name].used_s), reason)
