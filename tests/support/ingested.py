"""An Ingest with everything around it: the ledger on disk, the rest remembering."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tinyqueue.algorithms.base import Update
from tinyqueue.bus.messages import Delivery
from tinyqueue.data.session import SessionBatch
from tinyqueue.errors import LeaseLostError
from tinyqueue.experience.setbacks import Setbacks
from tinyqueue.experience.stream_source import StreamExperience
from tinyqueue.learner.ingest import Ingest
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.wire.contract import Contract
from tinyqueue.wire.evaluation_signs import SIGN_TYPE, decode_sign
from tinyqueue.wire.evaluations import (
    EVALUATION_TYPE,
    decode_evaluation,
)
from tinyqueue.wire.failures import TaskFailure
from tinyqueue.wire.sessions import SESSION_TYPE, encode_session

HEAD = 50
RUN = "c" * 32
DECODE: dict[str, Callable[[bytes], Any]] = {
    EVALUATION_TYPE: decode_evaluation,
    SIGN_TYPE: decode_sign,
}
STAGE = "a" * 32


class Consumer:
    """Remembers what was settled and how."""

    def __init__(self) -> None:
        self.settled: list[tuple[Delivery, Any, str | None]] = []

    def settle(self, delivery: Delivery, mark: Any, set_aside: str | None = None) -> None:
        self.settled.append((delivery, mark, set_aside))

    @property
    def fates(self) -> list[Any]:
        return [mark and (mark.fate, mark.reason) for _, mark, _ in self.settled]


class Lease:
    """This learner's, until it is lost."""

    is_lost = False

    def check(self) -> None:
        if self.is_lost:
            raise LeaseLostError("another learner trains this run")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "sessions.db", experiment="pole", run="1") as ledger:
        yield ledger


@pytest.fixture
def consumer() -> Consumer:
    return Consumer()


@pytest.fixture
def experience(ledger: Ledger) -> StreamExperience:
    return StreamExperience(1, ledger.knows, log_every_s=60.0)


@pytest.fixture
def heard() -> list[Any]:
    return []


@pytest.fixture
def evaluated() -> list[Any]:
    return []


@pytest.fixture
def failed() -> list[TaskFailure]:
    return []


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def lease() -> Lease:
    return Lease()


@pytest.fixture
def ingest(
    lease: Lease,
    contract: Contract,
    ledger: Ledger,
    experience: StreamExperience,
    consumer: Consumer,
    heard: list[Any],
    evaluated: list[Any],
    failed: list[TaskFailure],
    said: list[str],
) -> Any:
    ingest: Any = Ingest(
        contract,
        ledger,
        experience,
        max_policy_lag=10,
        head=lambda: HEAD,
        heard=lambda login, player, ended, play_s: heard.append((player, ended)),
        failed=lambda failure, login: failed.append(failure),
        setbacks=Setbacks(said.append, 60.0),
        evaluated=lambda delivery: evaluated.append(DECODE[delivery.content_type](delivery.body)),
        check_lease=lease.check,
    )
    ingest.on_delivery = partial(ingest.on_delivery, settle=consumer.settle)
    return ingest


@pytest.fixture
def delivered(make_batch: Callable[..., SessionBatch]) -> Callable[..., Delivery]:
    def make(
        n: int = 0,
        version: int = HEAD,
        content_type: str = SESSION_TYPE,
        message_id: str | None = None,
        **changes: Any,
    ) -> Delivery:
        batch = changes.pop("batch", None) or make_batch(n, version=version, **changes)
        encoded = encode_session(batch)
        return Delivery(
            encoded.body, encoded.headers, message_id or batch.header.batch_id, content_type
        )

    return make


def commit_all(ingest: Any, consumer: Consumer) -> None:
    ingest.commit([(delivery, mark) for delivery, mark, _ in consumer.settled])


def train_one(experience: StreamExperience) -> Any:
    """Trains on the next batch and returns it; None if none has come."""
    taken = experience.take(timeout_s=0.01)
    if taken is None:
        return None
    experience.trained(taken, Update({}))
    (batch,) = taken.arrived
    return batch


def failure(**changes: Any) -> TaskFailure:
    values: dict[str, Any] = {"experiment": "pole", "run": RUN} | changes
    return TaskFailure("t1", kind="OSError", text="no display", player="h:1", user="me", **values)


def with_reward(batch: SessionBatch, value: float) -> SessionBatch:
    rewards = batch.rewards.copy()
    rewards[2, 1] = value
    return replace(batch, rewards=rewards)
