"""Credits: the session batches that players may begin, in a list that they take from."""

from __future__ import annotations

from typing import NamedTuple

import redis

from tinyqueue.store.client import answering
from tinyqueue.store.keys import Keys


class Credit(NamedTuple):
    """The right to play one session batch.

    Attributes:
        number: By which the learner knows it again, in the batch's header.
        version: The oldest policy version to play it with.
    """

    number: int
    version: int


class CreditStore:
    """The credits of one experiment. Methods raise ServiceUnreachableError.

    The learner appends credits, and players take them from the front: Redis serves whoever has
    waited longest. A player's login may take credits and can add none.
    """

    def __init__(self, client: redis.Redis, experiment: str) -> None:
        self._client = client
        self._key = Keys(experiment).credits

    def clear(self) -> None:
        """Takes back all credits that nobody has taken."""
        with answering(self._client):
            self._client.delete(self._key)

    def append(self, credit: Credit) -> None:
        """Adds a credit. If it raises, the credit may have been added or not."""
        with answering(self._client):
            self._client.rpush(self._key, f"{credit.number} {credit.version}")

    def waiting(self) -> int:
        """How many nobody has taken."""
        with answering(self._client):
            return int(self._client.llen(self._key))

    def take(self, timeout_s: float) -> Credit | None:
        """Takes the oldest credit; None if there was none within ``timeout_s``, above 0."""
        with answering(self._client):
            found = self._client.blpop([self._key], timeout_s)
            if found is None:
                return None
            number, version = map(int, found[1].split())
        return Credit(number, version)
