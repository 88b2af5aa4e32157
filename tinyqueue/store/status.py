"""What ``tinyqueue info`` shows about an experiment: a document that its learner writes."""

from __future__ import annotations

import json
import math
from typing import Any

import redis

from tinyqueue.store.client import answering, read
from tinyqueue.store.fence import FENCE, stale
from tinyqueue.store.keys import Keys

STATUS_TTL_S = 7 * 86_400.0
"""The last status stays for a week after its learner has ended."""

_WRITE = (
    FENCE
    + """
local newer = replaced_by(KEYS[1], KEYS[2], ARGV[1], ARGV[2])
if newer then return newer end
redis.call('SET', KEYS[3], ARGV[3], 'PX', ARGV[4])
return false
"""
)


class StatusBoard:
    """The newest status of every experiment. Methods raise ServiceUnreachableError."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def write(
        self,
        experiment: str,
        document: dict[str, Any],
        ttl_s: float = STATUS_TTL_S,
        epoch: int = 0,
    ) -> None:
        """Replaces the JSON document, which expires after ``ttl_s`` seconds.

        Args:
            experiment: The experiment.
            document: What to write; its ``run`` is the learner's.
            ttl_s: How long it stays.
            epoch: Epoch of the learner's lease; 0 where no learner has had one.

        Raises:
            StaleEpochError: A learner with a higher epoch, or of another run, has the lease.
        """
        keys, run = Keys(experiment), str(document.get("run", ""))
        ttl_ms = math.ceil(ttl_s * 1000)
        with answering(self._client):
            newer: object = self._client.eval(
                _WRITE,
                *(3, keys.epoch, keys.lease, keys.status),
                *(epoch, run, json.dumps(document), ttl_ms),
            )
        if newer is not None:
            raise stale(self._client, "the status", experiment, epoch, newer)

    def read(self, experiment: str) -> dict[str, Any] | None:
        """The document; None if no learner has written one lately."""
        text = read(self._client, Keys(experiment).status)
        if text is None:
            return None
        document: dict[str, Any] = json.loads(text)
        return document
