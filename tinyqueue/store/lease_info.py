"""Which learner trains an experiment, and how to ask it to stop."""

from __future__ import annotations

from dataclasses import dataclass

import redis

from tinyqueue.store.client import answering
from tinyqueue.store.keys import Keys

STOP_REQUEST_S = 3600
"""A request that no learner has seen by then is forgotten."""


@dataclass(frozen=True)
class LeaseInfo:
    """The learner that trains an experiment.

    Attributes:
        holder: The name it gave itself.
        host: Its machine.
        run, epoch: The run that it trains, and the lease's epoch.
        since_s: Seconds since it acquired the lease, by Redis's clock.
        ttl_s: Seconds until the lease ends unless it is renewed.
    """

    holder: str
    host: str
    run: str
    epoch: int
    since_s: float
    ttl_s: float

    def __str__(self) -> str:
        return (
            f"{self.holder} on {self.host} (run {self.run}, epoch {self.epoch}, "
            f"held for {self.since_s:.0f} s)"
        )


def read_lease(client: redis.Redis, experiment: str) -> LeaseInfo | None:
    """The learner that trains an experiment; None if there is none.

    Raises:
        ServiceUnreachableError: Redis does not answer.
    """
    key = Keys(experiment).lease
    with answering(client), client.pipeline(transaction=False) as batch:
        batch.hgetall(key)
        batch.pttl(key)
        batch.time()
        fields, left_ms, (now_s, _) = batch.execute()
    if not fields:
        return None
    return LeaseInfo(
        holder=fields[b"holder"].decode(),
        host=fields[b"host"].decode(),
        run=fields[b"run"].decode(),
        epoch=int(fields[b"epoch"]),
        since_s=float(now_s - int(fields[b"since"])),
        ttl_s=left_ms / 1000,
    )


def learner_is_alive(client: redis.Redis, experiment: str) -> bool:
    """Whether some learner holds the lease. One HGETALL, which players are permitted.

    Raises:
        ServiceUnreachableError: Redis does not answer.
    """
    with answering(client):
        return bool(client.hgetall(Keys(experiment).lease))


def trained_run(client: redis.Redis, experiment: str) -> str | None:
    """Id of the run that is being trained; None if no learner holds the lease. One HGETALL.

    Raises:
        ServiceUnreachableError: Redis does not answer.
    """
    with answering(client):
        run = client.hgetall(Keys(experiment).lease).get(b"run")
    return run.decode(errors="replace") if isinstance(run, bytes) else None


def request_stop(client: redis.Redis, experiment: str) -> LeaseInfo | None:
    """Asks the learner that holds the lease to stop; it sees the request at its next renewal.

    Returns:
        The learner that was asked; None if nobody trains the experiment.

    Raises:
        ServiceUnreachableError: Redis does not answer.
    """
    info = read_lease(client, experiment)
    if info is not None:
        with answering(client):
            client.set(Keys(experiment).stop, info.epoch, ex=STOP_REQUEST_S)
    return info
