"""Publishing from a spool in a thread of its own, so that an environment never waits for it."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import structlog

from tinyqueue.bus.publisher import ExperiencePublisher, Outgoing, PublishOutcome
from tinyqueue.data.session import Drop, SessionBatch
from tinyqueue.errors import ConfigError, TinyqueueError
from tinyqueue.player.journal import PublishJournal
from tinyqueue.player.spool import Spool
from tinyqueue.wire.sessions import SESSION_TYPE, encode_session

TOO_LARGE = "too large"
"""Reason of a batch that is larger than a message may be."""
CLOSE_S = 3.0
"""How long the end of a stage waits until its batches are published; the rest is saved."""
_LOOK_S = 0.25
# How often the thread looks whether it should end.
_AWAY_S = 1.0
# Between two publishes while no learner takes this experiment's messages.
_REFUSED_S = 5.0
# Between two publishes while the broker refuses this login.

log = structlog.get_logger(__name__)


class Outbox:
    """Publishes one stage's batches, oldest first, each until it is confirmed.

    Args:
        stage: Id of the stage.
        codec: Compression on the wire.
        spool: Where the batches wait.
        publisher: Used by this outbox alone, and closed with it.
        journal: The audit trail, if there is one; closed with it too.

    Attributes:
        error: Why the broker will not take batches from this login; None while it may.
    """

    def __init__(
        self,
        stage: str,
        codec: str,
        spool: Spool,
        publisher: ExperiencePublisher,
        journal: PublishJournal | None = None,
    ) -> None:
        self._stage, self._codec = stage, codec
        self._spool = spool
        self._publisher = publisher
        self._journal = journal
        self.error: TinyqueueError | None = None
        self._dropped: list[Drop] = []
        self._ended: list[str] = []
        self._told: tuple[tuple[Drop, ...], tuple[str, ...]] = ((), ())
        self._outgoing: Outgoing | None = None
        self._is_closing = threading.Event()
        self._last_s = float("inf")
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """Batches that are not confirmed yet."""
        return len(self._spool)

    def put(self, batch: SessionBatch) -> None:
        """Takes a copy of a batch. Never waits."""
        self._spool.put(batch)

    def ended(self, task: str) -> None:
        """Notes that a task is over, or will be with this episode; the next header tells so."""
        self._ended.append(task)

    def close(self, for_s: float = CLOSE_S) -> None:
        """Publishes for so long, and saves the rest on disk for the next player. Idempotent."""
        if self._is_closing.is_set():
            return
        self._last_s = time.monotonic() + for_s
        self._is_closing.set()
        self._thread.join(for_s + 1.0)
        waited = len(self._spool)
        lost = self._spool.save()
        if waited:
            log.info("unpublished batches kept for the next player", batches=waited - lost)
        if lost:
            log.warning("unpublished batches given up with their stage", batches=lost)
        if not self._thread.is_alive():
            # Otherwise it belongs to a publish that does not end, in a process that does.
            self._publisher.close()
            if self._journal:
                self._journal.close()

    def _work(self) -> None:
        try:
            self._run()
        except Exception as error:
            # Nothing is published any more, and the tasks must not seem to succeed.
            log.exception("the outbox has ended")
            self.error = TinyqueueError(f"publishing has ended: {error!r}")

    def _run(self) -> None:
        while True:
            is_closing = self._is_closing.is_set()
            if time.monotonic() > self._last_s:
                return
            self._spool.spill()
            self._note_dropped()
            batch = self._spool.oldest(0.0 if is_closing else _LOOK_S)
            if batch is None:
                if is_closing:
                    return
                continue
            rest_s = self._publish(batch)
            if rest_s:
                if self._is_closing.is_set():
                    time.sleep(min(rest_s, _LOOK_S))
                else:
                    self._is_closing.wait(rest_s)

    def _publish(self, batch: SessionBatch) -> float:
        """Publishes once; returns how long to rest before the next attempt."""
        if self._outgoing is None:
            try:
                self._outgoing = self._encoded(batch)
            except ConfigError as error:
                self._give_up(batch, error)
                return 0.0
            self._write(self._outgoing.message_id, "attempted")
        try:
            outcome = self._publisher.publish(self._outgoing)
        except TinyqueueError as error:
            if self.error is None:
                log.error("batches cannot be published", error=str(error))
            self.error = error
            return _REFUSED_S
        self.error = None
        if outcome is PublishOutcome.CONFIRMED:
            self._confirmed(self._outgoing)
            return 0.0
        return _AWAY_S if outcome is PublishOutcome.NO_LEARNER else self._publisher.pause_s()

    def _give_up(self, batch: SessionBatch, error: ConfigError) -> None:
        """Drops a batch that no learner would take."""
        header = batch.header
        log.error("a batch is dropped", batch=header.batch_id, error=str(error))
        if header.stage == self._stage:
            self._dropped.append(Drop(header.n, TOO_LARGE))
            for event in ("attempted", "dropped"):
                self._write(header.batch_id, event)
        self._spool.done()

    def _encoded(self, batch: SessionBatch) -> Outgoing:
        header = batch.header
        self._told = ((), ())
        if header.stage == self._stage:
            # A header tells of earlier batches only.
            earlier = [drop for drop in self._dropped if drop.n < header.n]
            self._told = (tuple(sorted(earlier, key=lambda drop: drop.n)), tuple(self._ended))
        header = replace(header, dropped=self._told[0], ended_tasks=self._told[1])
        encoded = encode_session(replace(batch, header=header), self._codec)
        return Outgoing(
            experiment=header.experiment,
            body=encoded.body,
            content_type=SESSION_TYPE,
            message_id=header.batch_id,
            correlation_id=header.task,
            headers=encoded.headers,
        )

    def _confirmed(self, outgoing: Outgoing) -> None:
        dropped, ended = self._told
        told = set(dropped)
        self._dropped = [drop for drop in self._dropped if drop not in told]
        for task in ended:
            self._ended.remove(task)
        self._outgoing = None
        self._write(outgoing.message_id, "confirmed")
        self._spool.done()

    def _note_dropped(self) -> None:
        for drop in self._spool.take_dropped():
            self._dropped.append(drop)
            for event in ("attempted", "dropped"):
                self._write(f"{self._stage}:{drop.n}", event)

    def _write(self, batch_id: str, event: str) -> None:
        if self._journal:
            self._journal.write(batch_id, event)
