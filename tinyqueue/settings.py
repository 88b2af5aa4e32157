"""Where the services are: environment variables, each also readable from a file.

``TINYQUEUE_BROKER_URL_FILE=/run/secrets/broker`` replaces ``TINYQUEUE_BROKER_URL``, so that
secrets never have to appear in a process list.
"""

from __future__ import annotations

import functools
import os
import secrets
import socket
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tinyqueue.errors import ConfigError
from tinyqueue.urls import (
    BROKER_SCHEMES,
    SOCKET_SCHEMES,
    STORE_SCHEMES,
    TLS_SCHEMES,
    check_url,
    host_of,
    is_verified,
    login_of,
    masked,
    verified_url,
)

DEFAULT_BROKER_URL = "amqp://guest:guest@localhost:5672//"
PLAIN_URL = (
    "passwords and sessions cross the network unprotected; use amqps:// and rediss://, "
    "with nothing in the query that turns their checks off"
)
DEFAULT_REDIS_URL = "redis://localhost:6379/0"


class Settings(BaseSettings):
    """Settings of one process, read once when it starts and passed on."""

    model_config = SettingsConfigDict(
        env_prefix="TINYQUEUE_",
        # As deployment tools write what was not given.
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    broker_url: SecretStr = Field(
        SecretStr(DEFAULT_BROKER_URL),
        description="RabbitMQ (amqp://, amqps://), or Redis as a broker (redis://, redis+socket://).",
    )
    redis_url: SecretStr = Field(
        SecretStr(DEFAULT_REDIS_URL),
        description="The weight store: redis://, rediss:// or unix://.",
    )
    tls_ca_certs: str = Field(
        "",
        description="PEM file of the authorities for amqps:// and rediss://, used if the URL has "
        "no ssl_ca_certs; the system's if empty.",
    )
    user: str = Field(
        "", description="Name of this machine's broker login; taken from the broker URL if empty."
    )
    declare: bool = Field(
        True, description="0: declare no exchange or queue; the operator has done so."
    )
    play_queues: Annotated[tuple[str, ...], NoDecode] = Field(
        ("play",), description="Comma-separated names of play queues, such as play,play.gpu."
    )
    queue_type: str = Field("classic", pattern="^(classic|quorum)$")
    environment_modules: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated modules that register environments; only these are imported.",
    )
    runs_dir: Path = Field(Path("runs"), description="Folder of the run directories.")
    worker_max_tasks_per_child: int | None = Field(
        None,
        gt=0,
        description="Replace a pool child after this many tasks, for environments that leak.",
    )
    task_visibility_s: int = Field(
        6000,
        gt=0,
        description="With Redis as broker, seconds after which a task that its worker has not "
        "ended is given to another. The default is twice the longest time limit.",
    )
    remote_control: bool = Field(
        False,
        description="1: let whoever may write to the broker's pidbox exchange grow, query and end "
        "this worker, as Flower's buttons do. No login for players may.",
    )
    spool_dir: Path = Field(
        Path("spool"),
        description="Folder for session batches of realtime environments that cannot be published "
        "yet; created when it is needed.",
    )
    spool_memory_bytes: int = Field(
        128 << 20,
        gt=0,
        description="Size of the session batches that wait in a player's memory; what exceeds half "
        "of it goes to spool_dir. It should hold what is played in 10 s.",
    )
    spool_disk_bytes: int = Field(
        1 << 30, gt=0, description="Size of a player's session batches in spool_dir."
    )
    publish_journal: Path | None = Field(
        None,
        description="Folder in which a player writes every publish and its outcome, for audits.",
    )

    @field_validator("play_queues", "environment_modules", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="after")
    def _readable(self) -> Self:
        check_url(
            self.broker_url.get_secret_value(),
            "TINYQUEUE_BROKER_URL",
            BROKER_SCHEMES,
            is_list=True,
        )
        check_url(self.redis_url.get_secret_value(), "TINYQUEUE_REDIS_URL", STORE_SCHEMES)
        return self

    @field_validator("runs_dir", "spool_dir", "publish_journal")
    @classmethod
    def _at_home(cls, value: Path | None) -> Path | None:
        return value and Path(os.path.expanduser(value))

    @property
    def broker(self) -> str:
        """The broker's URL, with :attr:`tls_ca_certs` in its query if TLS needs it.

        Raises:
            ConfigError: Its query names a TLS file that cannot be read here.
        """
        url = self.broker_url.get_secret_value()
        return verified_url(url, "TINYQUEUE_BROKER_URL", self.tls_ca_certs)

    @property
    def redis(self) -> str:
        """The store's URL, as for :attr:`broker`."""
        url = self.redis_url.get_secret_value()
        return verified_url(url, "TINYQUEUE_REDIS_URL", self.tls_ca_certs)

    @property
    def login(self) -> str:
        """The user part of routing keys: ``user``, else the broker URL's login, else ``local``."""
        return self.user or login_of(self.broker_url.get_secret_value()) or "local"


def unprotected(settings: Settings) -> list[str]:
    """The URLs that use a network without TLS, or with its checks turned off; passwords masked.

    Anybody on the network could read the passwords in them, and pose as a player or learner.
    """
    urls = [*settings.broker.split(";"), settings.redis]
    return [masked(url) for url in urls if not _is_protected(url)]


def load_settings() -> Settings:
    """Reads the settings from environment variables.

    Raises:
        ConfigError: A variable has a value that cannot be used, or a file cannot be read.
    """
    from_files: dict[str, str] = {}
    for name in Settings.model_fields:
        path = os.environ.get(f"TINYQUEUE_{name.upper()}_FILE")
        if path:
            try:
                from_files[name] = Path(os.path.expanduser(path)).read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
                raise ConfigError(
                    f"TINYQUEUE_{name.upper()}_FILE names {path}, which cannot be read ({why}). "
                    "Correct the path, its permissions or its content."
                ) from error
    try:
        return Settings(**from_files)  # type: ignore[arg-type]
    except ValidationError as error:
        wrong = "; ".join(
            f"TINYQUEUE_{str(item['loc'][0]).upper()}: {item['msg']}" for item in error.errors()
        )
        raise ConfigError(f"environment variables cannot be used: {wrong}.") from None


def host_name() -> str:
    """The name of this machine, as it calls itself."""
    return socket.gethostname()


def player_name(pid: int | None = None) -> str:
    """The player name of this process: ``host:pid:`` and four random hexadecimal digits.

    The digits tell containers apart, which may all have the same host name and pid. They are
    those of the process in which this was first called, and of all that are forked from it.

    Args:
        pid: Process id of a pool child instead.
    """
    return f"{host_name()}:{pid or os.getpid()}:{_digits()}"


@functools.cache
def _digits() -> str:
    return secrets.token_hex(2)


def _is_protected(url: str) -> bool:
    scheme = url.partition("://")[0]
    if scheme in TLS_SCHEMES:
        return is_verified(url)
    return scheme in SOCKET_SCHEMES or _is_loopback(host_of(url))


def _is_loopback(host: str) -> bool:
    return host == "localhost" or host == "::1" or host.startswith("127.")
