"""What players send to an experiment's learner, as it is played."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import Any

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.experience_copy import ExperienceCopy
from tinyqueue.bus.messages import Delivery
from tinyqueue.data.session import SessionBatch
from tinyqueue.datasets.dataset import Batch, Dataset
from tinyqueue.datasets.items import Cut
from tinyqueue.datasets.mixers import InOrder, ReplayMixer
from tinyqueue.datasets.plain import of_session
from tinyqueue.errors import ConfigError, MessageError, ServiceUnreachableError
from tinyqueue.policy.spec_contract import contract_of
from tinyqueue.settings import Settings, load_settings
from tinyqueue.store.client import connect
from tinyqueue.store.specs import SpecStore
from tinyqueue.wire.sessions import SESSION_TYPE, decode_session

_REMEMBERED = 4096
"""Ids of messages: a player sends one again when it was refused by the learner's queue."""


class Stream(Dataset):
    """Endless session batches: a copy of every one that is published, beside the learner.

    It has a queue of its own at the broker, so the learner gets every message as without it, and
    nothing here is accepted, acked or counted for the learner. The queue lasts as long as this
    object and is bound only while the learner's exists. A reader that is too slow misses the
    oldest (:attr:`missed`): a sample of the stream, not a record. Only on RabbitMQ, with a login of
    the role ``learner``.

    Args:
        experiment: Name of an experiment that a learner trains.
        settings: Addresses of the services; by default from the environment variables.
        buffer_batches: Session batches that may wait, here and at the broker each.
        timeout_s: Seconds to wait for a batch before giving up.

    Attributes:
        spec: What is played: environment, spaces, T and B.
        skipped: Reason → messages left out because they break the run's contract.

    Raises:
        ConfigError: No learner has published this experiment, the broker is Redis, or the login may
            not read it.
        ServiceUnreachableError: The broker or Redis does not answer.
    """

    def __init__(
        self,
        experiment: str,
        *,
        settings: Settings | None = None,
        buffer_batches: int = 16,
        timeout_s: float = 60.0,
    ) -> None:
        super().__init__()
        settings = settings or load_settings()
        spec = SpecStore(connect(settings.redis)).load(experiment)
        if spec is None:
            raise ConfigError(
                f"no learner has published {experiment!r}. Start it: tinyqueue learner start "
                "FILE.toml; `tinyqueue info` lists experiments."
            )
        self.spec = spec
        self._contract = contract_of(spec)
        self._timeout_s = timeout_s
        self.skipped: Counter[str] = Counter()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._copy = ExperienceCopy(Broker(settings.broker), experiment, buffer_batches)

    @property
    def missed(self) -> int:
        """Messages dropped here because nobody asked for them in time."""
        return self._copy.dropped

    @property
    def num_batches(self) -> None:
        """Endless."""
        return None

    def __getitem__(self, index: int) -> Batch:
        """The next session batch as arrays; see :func:`tinyqueue.datasets.plain.of_session`.

        Raises:
            ServiceUnreachableError: None came within ``timeout_s``.
        """
        del index
        return of_session(self.session())

    def session(self) -> SessionBatch:
        """The next session batch.

        Raises:
            ServiceUnreachableError: None came within ``timeout_s``.
        """
        while True:
            delivery = self._copy.take(self._timeout_s)
            if delivery is None:
                left_out = f"; left out: {dict(self.skipped)}" if self.skipped else ""
                raise ServiceUnreachableError(
                    f"no session batch of {self.spec.experiment!r}, run {self.spec.run}, came in "
                    f"{self._timeout_s:g} s{left_out}. Are its learner and players running?"
                )
            batch = self._taken_in(delivery)
            if batch is not None:
                return batch

    def sessions(self) -> Iterator[SessionBatch]:
        """Session batches, for ever."""
        while True:
            yield self.session()

    def transitions(self, batch_size: int = 64, **cut: Any) -> InOrder:
        """Every transition once; a batch is the fields of a ``TransitionSample``.

        Args:
            batch_size: N.
            cut: ``n_step``, ``gamma``, ``reward_scale``, ``reward_clip`` and ``stack`` of
                :class:`~tinyqueue.datasets.items.Cut`.
        """
        return InOrder(self.sessions(), self._cut({"batch_size": batch_size, **cut}))

    def sequences(self, batch_size: int = 16, *, unroll: int, **cut: Any) -> InOrder:
        """Every sequence once; a batch is the fields of a ``SequenceSample``.

        Args:
            batch_size: N.
            unroll: Ticks of a sequence.
            cut: As for :meth:`transitions`, and ``burn_in``.
        """
        whole = {"batch_size": batch_size, "unroll": unroll, **cut}
        return InOrder(self.sessions(), self._cut(whole))

    def replay(self, batch_size: int = 64, *, options: Any = None, **cut: Any) -> ReplayMixer:
        """Uniform samples of the newest experience; see :class:`ReplayMixer` for ``options``."""
        whole = {"batch_size": batch_size, **cut}
        return ReplayMixer(self.sessions, self._cut(whole), **(options or {}))

    def close(self) -> None:
        """Closes the connection; the broker deletes the queue."""
        self._copy.close()

    def _cut(self, cut: dict[str, Any]) -> Cut:
        return Cut(**{"stack": self.spec.environment.stack, **cut})

    def _taken_in(self, delivery: Delivery) -> SessionBatch | None:
        """The batch of a message; None if it is none, or is not sound, or came before."""
        if delivery.content_type != SESSION_TYPE or delivery.message_id in self._seen:
            return None
        try:
            batch = decode_session(delivery.body, delivery.headers)
            batch, _, _ = self._contract.clipped(batch)
            self._contract.check(batch)
        except MessageError as error:
            self.skipped[error.reason] += 1
            return None
        self._seen[delivery.message_id] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return batch
