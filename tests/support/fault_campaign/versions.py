"""Every weight version that the store was given, over its restarts and of all experiments."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import redis


@dataclass(frozen=True)
class Published:
    """A version that was written.

    Attributes:
        version: Its number.
        era: How often the store had lost everything before.
    """

    version: int
    era: int


class Versions:
    """Listens to Redis's own notifications.

    Args:
        connect: Makes a client that may subscribe.
    """

    def __init__(self, connect: Callable[[], Any]) -> None:
        self.published: dict[str, list[Published]] = {}
        self._connect = connect
        self._era = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="versions", daemon=True)
        self._thread.start()

    def store_is_emptied(self) -> None:
        """Call it before the store loses everything: the newest version is then written anew."""
        self._era += 1

    def falls(self) -> list[str]:
        """Where versions do not rise strictly. The newest may come again in an emptied store."""
        found = []
        for experiment, published in self.published.items():
            for before, after in pairwise(published):
                again = after.version == before.version and after.era > before.era
                if after.version <= before.version and not again:
                    found.append(f"{experiment}: {after.version} after {before.version}")
        return found

    def close(self) -> None:
        """Stops listening."""
        self._ended.set()
        self._thread.join(timeout=10)

    def _listen(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(redis.RedisError, OSError), self._connect() as client:
                self._listen_to(client)
            self._ended.wait(0.1)

    def _listen_to(self, client: Any) -> None:
        subscription = client.pubsub(ignore_subscribe_messages=True)
        subscription.psubscribe("__keyspace@*__:tinyqueue:*:weights:*")
        while not self._ended.is_set():
            message = subscription.get_message(timeout=0.2)
            if message is not None and message["data"] == b"set":
                _, experiment, _, version = message["channel"].decode().rsplit(":", 3)
                self.published.setdefault(experiment, []).append(Published(int(version), self._era))
