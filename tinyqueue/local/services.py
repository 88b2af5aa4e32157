"""Which services a run on this machine uses: configured or private ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from tinyqueue.local.rabbitmq_node import RabbitmqNode
from tinyqueue.local.redis_server import RedisServer
from tinyqueue.settings import Settings
from tinyqueue.urls import masked

Choice = Literal["auto", "embedded", "rabbitmq", "configured"]


@dataclass(frozen=True)
class LocalServices:
    """The services that join a run's players and learner.

    Attributes:
        settings: Settings with the URLs of these services.
        told: A description for people; passwords are masked.
    """

    settings: Settings
    told: str


def resolve(choice: Choice, settings: Settings) -> Choice:
    """Resolves ``auto``: ``configured`` if a variable names a service, else ``embedded``."""
    if choice != "auto":
        return choice
    named = {"broker_url", "redis_url"} & settings.model_fields_set
    return "configured" if named else "embedded"


@contextmanager
def local_services(choice: Choice, settings: Settings) -> Iterator[LocalServices]:
    """Starts what is needed and ends it afterwards, even if this process is killed.

    Raises:
        MissingExtraError: No Redis server is installed for the embedded default.
        ServiceUnreachableError: A private server does not start.
    """
    choice = resolve(choice, settings)
    if choice == "configured":
        yield LocalServices(settings, f"{masked(settings.broker)} and {masked(settings.redis)}")
        return
    with TemporaryDirectory(prefix="tinyqueue-") as folder, RedisServer(Path(folder)) as redis:
        if choice == "embedded":
            yield LocalServices(
                _with_urls(settings, redis.broker_url, redis.redis_url), "embedded Redis"
            )
            return
        with RabbitmqNode(Path(folder) / "rabbitmq") as node:
            yield LocalServices(
                _with_urls(settings, node.broker_url, redis.redis_url),
                "private RabbitMQ and embedded Redis",
            )


def _with_urls(settings: Settings, broker_url: str, redis_url: str) -> Settings:
    values = {name: getattr(settings, name) for name in settings.model_fields_set}
    return Settings(**{**values, "broker_url": broker_url, "redis_url": redis_url})
