"""Where the services are: environment variables, each also readable from a file.

``TINYQUEUE_BROKER_URL_FILE=/run/secrets/broker`` stands for ``TINYQUEUE_BROKER_URL``:
secrets never have to appear in a process list.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tinyqueue.errors import ConfigError

DEFAULT_BROKER_URL = "amqp://guest:guest@localhost:5672//"
PLAIN_URL = "passwords and sessions cross the network unprotected; use amqps:// and rediss://"
DEFAULT_REDIS_URL = "redis://localhost:6379/0"

_PASSWORD = re.compile(r"://([^:@/]*):(?:(?!://).)*@")
_QUERY_PASSWORD = re.compile(r"([?&]password=)[^&;]*")


class Settings(BaseSettings):
    """Settings of one process. Read once, where the process starts, and passed on."""

    model_config = SettingsConfigDict(env_prefix="TINYQUEUE_", frozen=True, extra="ignore")

    broker_url: SecretStr = Field(
        SecretStr(DEFAULT_BROKER_URL),
        description="RabbitMQ (amqp://, amqps://), or Redis as a broker (redis://, redis+socket://).",
    )
    redis_url: SecretStr = Field(
        SecretStr(DEFAULT_REDIS_URL),
        description="The weight store: redis://, rediss:// or unix://.",
    )
    user: str = Field(
        "", description="Name of this machine's broker login; taken from the broker URL when empty."
    )
    declare: bool = Field(
        True, description="0: declare no exchange or queue; the operator has made them."
    )
    play_queues: Annotated[tuple[str, ...], NoDecode] = Field(
        ("play",), description="Comma-separated names of play queues, such as play,play.gpu."
    )
    queue_type: str = Field("classic", pattern="^(classic|quorum)$")
    environment_modules: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated modules that register environments; only these are imported.",
    )
    runs_dir: Path = Field(Path("runs"), description="Where run directories are made.")
    worker_max_tasks_per_child: int | None = Field(
        None,
        gt=0,
        description="Replace a pool child after so many tasks: for environments that leak.",
    )
    task_visibility_s: int = Field(
        6000,
        gt=0,
        description="Redis as broker: a task that its worker has not ended by then is given to "
        "another. The default is two of the longest time limits.",
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

    @field_validator("runs_dir", "publish_journal")
    @classmethod
    def _at_home(cls, value: Path | None) -> Path | None:
        return value and Path(os.path.expanduser(value))

    @property
    def broker(self) -> str:
        return self.broker_url.get_secret_value()

    @property
    def redis(self) -> str:
        return self.redis_url.get_secret_value()

    @property
    def login(self) -> str:
        """The user part of routing keys: ``user``, else the broker URL's login, else ``local``."""
        return self.user or unquote(urlsplit(self.broker).username or "") or "local"


def unprotected(settings: Settings) -> list[str]:
    """The URLs, passwords masked, that cross a network without TLS.

    Anybody on the way could read the passwords in them, and play or train in their place.
    """
    plain = ("amqp://", "pyamqp://", "redis://")
    urls = [*settings.broker.split(";"), settings.redis]
    return [
        masked(url)
        for url in urls
        if url.startswith(plain) and not _is_loopback(urlsplit(url).hostname or "localhost")
    ]


def load_settings() -> Settings:
    """Reads the environment.

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


def masked(url: str) -> str:
    """The URL, or several joined by ``;``, without any password, for logs and errors.

    By pattern and not by parsing: a password whose ``/`` or ``#`` was not escaped is what makes
    a URL fail, and then it is shown.
    """
    return _QUERY_PASSWORD.sub(r"\1***", _PASSWORD.sub(r"://\1:***@", url))


def host_name() -> str:
    return socket.gethostname()


def _is_loopback(host: str) -> bool:
    return host == "localhost" or host == "::1" or host.startswith("127.")
