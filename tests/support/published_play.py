"""Players in threads: they publish what they made up until told to stop, and keep books."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from playing import Playing
from untrained_learner import NAME, SLOTS, TICKS

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.messages import Outgoing, PublishOutcome
from tinyqueue.bus.publisher import ExperiencePublisher
from tinyqueue.data.episodes import Episodes
from tinyqueue.data.session import SessionBatch
from tinyqueue.player.journal import PublishJournal
from tinyqueue.wire.sessions import SESSION_TYPE, encode_session

BATCH_S = 0.006
"""Between two batches of one player."""
_GIVE_UP_S = 60.0


class Players:
    """Two of them. Some batches come late, some twice, some never; stages end and begin.

    Args:
        broker_url: Where to.
        run: Whose batches they are.
        journal: Where the players write what they do.
        seed: Of everything that is random.

    Attributes:
        stages: All stages, by their numbers.
        env_steps: Batch id → valid ticks, of what was published.
        error: Why a player has ended by itself.
    """

    def __init__(self, broker_url: str, run: str, journal: Path, seed: int) -> None:
        self.stages: list[Playing] = []
        self.env_steps: dict[str, int] = {}
        self.error: BaseException | None = None
        self._broker, self._run, self._journal = Broker(broker_url), run, journal
        self._begin = threading.Lock()
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=self._play, args=(seed + i,), daemon=True) for i in range(2)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """When what is under way is confirmed."""
        self._ending.set()
        for thread in self._threads:
            thread.join(_GIVE_UP_S)
        if self.error is not None:
            raise self.error

    def _play(self, seed: int) -> None:
        publisher = ExperiencePublisher(
            self._broker, "guest", queue_batches=4, learner_is_alive=lambda _: True
        )
        try:
            rng = random.Random(seed)
            while not self._ending.is_set():
                self._play_stage(publisher, rng)
        except BaseException as error:
            self.error = error
        finally:
            publisher.close()

    def _play_stage(self, publisher: ExperiencePublisher, rng: random.Random) -> None:
        with self._begin:
            stage = Playing(
                len(self.stages), TICKS, SLOTS, np.random.default_rng(rng.getrandbits(32))
            )
            self.stages.append(stage)
        journal = PublishJournal(self._journal, f"{stage.stage:032x}")
        published: list[Outgoing] = []
        for outgoing in self._in_some_order(stage, rng):
            journal.write(outgoing.message_id, "attempted")
            self._publish(publisher, outgoing)
            journal.write(outgoing.message_id, "confirmed")
            published.append(outgoing)
            if rng.random() < 0.1:
                self._publish(publisher, rng.choice(published))
            if self._ending.wait(BATCH_S) or rng.random() < 0.01:
                break
        journal.close()

    def _in_some_order(self, stage: Playing, rng: random.Random) -> Iterator[Outgoing]:
        while True:
            outgoing = self._outgoing(stage.play())
            chance = rng.random()
            if chance < 0.03:
                yield self._outgoing(stage.play())
            if chance > 0.01:
                yield outgoing

    def _outgoing(self, played: SessionBatch) -> Outgoing:
        ended = np.argwhere(played.terminated | played.truncated)[:, 1]
        ones = np.ones(len(ended))
        header = replace(
            played.header, experiment=NAME, run=self._run, user="guest", policy_version=0
        )
        batch = replace(played, header=header, episodes=Episodes.of(ended, ones, ones, ones))
        encoded = encode_session(batch, "none")
        self.env_steps[header.batch_id] = batch.env_steps
        return Outgoing(NAME, encoded.body, SESSION_TYPE, header.batch_id, "", encoded.headers)

    def _publish(self, publisher: ExperiencePublisher, outgoing: Outgoing) -> None:
        outcome = publisher.publish_patiently(outgoing, for_s=_GIVE_UP_S)
        assert outcome is PublishOutcome.CONFIRMED, f"{outgoing.message_id}: {outcome}"
