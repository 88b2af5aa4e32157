"""What ``tinyqueue info`` shows about an experiment: a document that its learner writes."""

from __future__ import annotations

import json
import math
from typing import Any

import redis

from tinyqueue.store.client import answering, read
from tinyqueue.store.keys import Keys


class StatusBoard:
    """The newest status of every experiment. Methods raise ServiceUnreachableError."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def write(self, experiment: str, document: dict[str, Any], ttl_s: float) -> None:
        """Replaces the JSON document, which expires after ``ttl_s`` seconds."""
        text = json.dumps(document)
        with answering(self._client):
            self._client.set(Keys(experiment).status, text, px=math.ceil(ttl_s * 1000))

    def read(self, experiment: str) -> dict[str, Any] | None:
        """The document; None if no learner has written one lately."""
        text = read(self._client, Keys(experiment).status)
        if text is None:
            return None
        document: dict[str, Any] = json.loads(text)
        return document
