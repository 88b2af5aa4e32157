"""A login of role player that sends what no player sends."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tinyqueue.bus.broker import Broker, drop
from tinyqueue.bus.messages import PublishOutcome
from tinyqueue.bus.rabbitmq_publishing import RabbitmqPublishing
from tinyqueue.data.session import Header, SessionBatch
from tinyqueue.errors import TinyqueueError
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.player.journal import PublishJournal
from tinyqueue.player.stage import Stage
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.store.client import connect
from tinyqueue.store.specs import SpecStore
from tinyqueue.store.weights import WeightStore
from tinyqueue.wire.sessions import SESSION_TYPE, encode_session

_SPEC_S = 10.0
STRANGE = "bad0"
"""How every stage begins that is not in a journal."""


def strange_stage() -> str:
    """The id of a stage that nobody played."""
    return STRANGE + secrets.token_hex(14)


class Hostile:
    """Publishes messages to the learners of experiments, each with a patience of seconds.

    Args:
        login: At the broker.
        broker_url, redis_url: Give the URLs of a login, and of a role.
        journal: The players' journal, for batches that are good.

    Attributes:
        stage: A stage that nobody plays, another one for each :meth:`begin`.
        outcomes: How often a publish had each outcome, since the last :meth:`begin`.
    """

    def __init__(
        self,
        login: str,
        broker_url: Callable[[str], str],
        redis_url: Callable[[str], str],
        journal: Path,
    ) -> None:
        self.login = login
        self.broker_url = broker_url(login)
        self._redis_url = redis_url("player")
        self._journal = journal
        self._link: RabbitmqPublishing | None = None
        self._taking: Any = None
        self._players: dict[str, GoodPlayer] = {}
        self.outcomes: Counter[str] = Counter()
        self.stage = strange_stage()
        self._until_s = 0.0

    def begin(self, lasts_s: float) -> None:
        """From now on it sends for so many seconds at most."""
        self.outcomes.clear()
        self.stage = strange_stage()
        self._until_s = time.monotonic() + lasts_s

    @property
    def goes_on(self) -> bool:
        """Whether there is time left."""
        return time.monotonic() < self._until_s

    def said(self) -> str:
        """The outcomes, for a report."""
        return ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.most_common())

    def put(
        self,
        experiment: str,
        body: bytes,
        headers: Mapping[Any, Any] | None = None,
        *,
        key: str = "",
        **properties: Any,
    ) -> bool:
        """Publishes, again and again while the queue is full. Returns whether it was confirmed."""
        properties = {"content_type": SESSION_TYPE, "user_id": self.login, **properties}
        properties.setdefault("message_id", secrets.token_hex(8))
        while True:
            outcome = self._attempt(
                body,
                exchange="experience",
                routing_key=key or f"{experiment}.{self.login}",
                application_headers=dict(headers or {}),
                **properties,
            )
            if outcome != PublishOutcome.FULL.value or not self.goes_on:
                self.outcomes[outcome] += 1
                return outcome == PublishOutcome.CONFIRMED.value
            time.sleep(0.01)

    def player(self, experiment: str) -> GoodPlayer:
        """Plays for an experiment with its newest weights."""
        player = self._players.get(experiment)
        with connect(self._redis_url) as redis:
            spec = _spec(SpecStore(redis), WeightStore(redis, experiment), experiment)
            if player is None or player.spec != spec:
                if player is not None:
                    player.close()
                graph = SpecStore(redis).graph(experiment, spec.graph_sha256)
                player = GoodPlayer(spec, graph, self.login, self._journal)
                self._players[experiment] = player
            weights = WeightStore(redis, experiment).fetch()
            if weights is not None:
                player.takes(weights)
        return player

    def put_batch(self, experiment: str, batch: SessionBatch, **headers: Any) -> bool:
        """Publishes a session batch as players do."""
        encoded = encode_session(batch)
        return self.put(
            experiment,
            encoded.body,
            {**encoded.headers, **headers},
            message_id=batch.header.batch_id,
        )

    def take_task(self, queue: str) -> bytes | None:
        """Takes a task from a queue and acks it; None if there is none, or it may not."""
        try:
            self._taking = self._taking or Broker(self.broker_url).open()
            message = self._taking.default_channel.basic_get(queue, no_ack=True)
            return None if message is None else str(message.body).encode()
        except Exception as error:
            self.outcomes[type(error).__name__] += 1
            self._stop_taking()
            time.sleep(0.5)
            return None

    def _stop_taking(self) -> None:
        if self._taking is not None:
            drop(self._taking)
            self._taking = None

    def close(self) -> None:
        """Closes its connections, and what it plays."""
        for player in self._players.values():
            player.close()
        self._players.clear()
        self._stop_taking()
        if self._link is not None:
            self._link.close()
            self._link = None

    def _attempt(self, body: bytes, **properties: Any) -> str:
        try:
            self._link = self._link or RabbitmqPublishing(Broker(self.broker_url))
            return self._link.publish(body, timeout_s=3.0, **properties).value
        except Exception as error:
            # What is refused shows in the report; what it does to others is what counts.
            if self._link is not None:
                with contextlib.suppress(Exception):
                    self._link.close()
                self._link = None
            return type(error).__name__


class GoodPlayer:
    """Plays batches that pass every check."""

    def __init__(self, spec: Any, graph: bytes, login: str, journal: Path) -> None:
        self.spec, self._graph = spec, graph
        self._stage = Stage(spec, user=login, player="mallory", seed=1)
        self.journal = PublishJournal(journal, self._stage.id)
        self._runner: PolicyRunner | None = None

    def takes(self, weights: Any) -> None:
        """Plays with these from now on."""
        if self._runner is None or self._runner.version != weights.version:
            self._runner = PolicyRunner(
                self._graph, weights.arrays, weights.version, weights.env_steps
            )

    def close(self) -> None:
        """Ends its environments and its journal."""
        self._stage.close()
        self.journal.close()

    def batch(self, **header: Any) -> SessionBatch:
        """The next batch of its stage, which counts as its own once it is in the journal."""
        assert self._runner is not None
        played = self._stage.play(self._runner, secrets.token_hex(16))
        return replace(played, header=replace(played.header, **header)) if header else played


def tiny_batch(
    experiment: str, login: str, *, run: str = "0" * 32, player: str = "ghost"
) -> SessionBatch:
    """A session that can be decoded: one tick of one slot."""
    one = np.ones((1, 1), bool)
    return SessionBatch(
        header=Header(experiment, run, strange_stage(), 0, login, player, 0, 0),
        observations={"": np.zeros((2, 1), np.float32)},
        actions={"": np.zeros((1, 1), np.uint8)},
        rewards=np.zeros((1, 1), np.float32),
        terminated=~one,
        truncated=~one,
        valid=one,
    )


def _spec(specs: SpecStore, weights: WeightStore, experiment: str) -> PlaySpec:
    """The spec, with weights: a learner publishes them again soon after Redis has lost them."""
    give_up_s = time.monotonic() + _SPEC_S
    while (spec := specs.load(experiment)) is None or weights.head() < 0:
        if time.monotonic() > give_up_s:
            raise TinyqueueError(f"no spec of {experiment}")
        time.sleep(0.05)
    return spec
