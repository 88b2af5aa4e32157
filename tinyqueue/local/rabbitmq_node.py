"""A private RabbitMQ node, for tests and for trying the real broker on one machine."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from tinyqueue.errors import ConfigError, ServiceUnreachableError
from tinyqueue.local.guard import end_guarded, start_guarded, tail

START_S = 60.0
"""A node that does not answer within this time is given up."""
_SBIN = (
    "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin",
    "/opt/rabbitmq/sbin",
    "/opt/homebrew/opt/rabbitmq/sbin",
    "/usr/local/opt/rabbitmq/sbin",
)
_PORTS = range(20_000, 30_000)
"""Below the ports that systems use for outgoing connections, so that none takes a free one."""


class RabbitmqNode:
    """A RabbitMQ node and its epmd on ports of 127.0.0.1, which end with this process.

    It needs no root, no plugin, and only the programs of the system's RabbitMQ. URLs and durable
    messages survive :meth:`stop` and :meth:`start`.

    Args:
        directory: Holds the node's data, log and cookie; created if missing.
    """

    start_s = START_S

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._sbin = find_sbin()
        self._port, self._dist_port, self._epmd_port = free_ports(3)
        self._name = f"tinyqueue-{secrets.token_hex(4)}@localhost"
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def broker_url(self) -> str:
        """URL of the vhost ``/``."""
        return self._url("%2F")

    @property
    def port(self) -> int:
        """The AMQP port on 127.0.0.1."""
        return self._port

    @property
    def log(self) -> Path:
        """The node's log file."""
        return self._directory / "log" / "rabbitmq.log"

    @property
    def pid(self) -> int:
        """Process id of the Erlang VM, for tests that stop or kill it."""
        return int((self._directory / "pid").read_text())

    def start(self) -> None:
        """Starts the node and returns once it accepts connections.

        Raises:
            ServiceUnreachableError: It was started but does not answer.
        """
        self._write_files()
        output = self._directory / "log" / "output.log"
        epmd = ["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"]
        server = [str(self._sbin / "rabbitmq-server"), "-noinput"]
        self._guard = start_guarded([epmd, server], output, self._environment())
        deadline = time.monotonic() + self.start_s
        while not _speaks_amqp(self._port):
            has_ended = self._guard.poll() is not None
            if has_ended or time.monotonic() > deadline:
                self.stop()
                raise ServiceUnreachableError(_why_not(has_ended, self.start_s, output, self.log))
            time.sleep(0.02)

    def stop(self) -> None:
        """Shuts the node down cleanly; does nothing if it is not running."""
        if self._guard is not None:
            end_guarded(self._guard)
            self._guard = None

    def add_vhost(self, name: str) -> str:
        """Creates a vhost with full permissions for ``guest``, and returns its URL."""
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
            raise ConfigError(f"vhost {name!r}: use letters, digits, '_', '.' and '-'.")
        self.eval(
            f'rabbit_vhost:add(<<"{name}">>, <<"tinyqueue">>), '
            f'rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<"{name}">>, '
            '<<".*">>, <<".*">>, <<".*">>, <<"tinyqueue">>).'
        )
        return self._url(name)

    def delete_vhost(self, name: str) -> None:
        """Deletes a vhost with everything in it, and closes its connections."""
        self.eval(f'rabbit_vhost:delete(<<"{name}">>, <<"tinyqueue">>).')

    def eval(self, expression: str) -> str:
        """Evaluates an Erlang expression, which ends with a full stop, inside the node.

        Uses ``erl_call`` (20 ms) if Erlang is installed with it, else ``rabbitmqctl``.
        """
        erl_call = shutil.which("erl_call", path=_search_path())
        if erl_call is None:
            return self.ctl("eval", expression)
        return self._run([erl_call, "-sname", self._name, "-e"], f"{expression}\n")

    def ctl(self, *args: str) -> str:
        """What ``rabbitmqctl`` prints for these arguments; takes half a second.

        Raises:
            ServiceUnreachableError: It failed; the text holds its output.
        """
        return self._run([str(self._sbin / "rabbitmqctl"), "--node", self._name, *args])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _url(self, vhost: str) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self._port}/{vhost}"

    def _run(self, command: list[str], given: str = "") -> str:
        done = subprocess.run(
            command,
            input=given,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0 or done.stdout.startswith(("{error", "{ok, {error")):
            said = (done.stderr or done.stdout).strip()
            raise ServiceUnreachableError(
                f"{Path(command[0]).name} on the private RabbitMQ node failed: {said}. "
                f"Its log is {self.log}."
            )
        return done.stdout

    def _write_files(self) -> None:
        for name in ("mnesia", "log"):
            (self._directory / name).mkdir(parents=True, exist_ok=True)
        cookie = self._directory / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(mode=0o600)
            cookie.write_text(secrets.token_hex(16))
            cookie.chmod(0o400)
        (self._directory / "enabled_plugins").write_text("[].\n")
        (self._directory / "advanced.config").write_text(
            f'[{{rabbit, [{{tcp_listeners, [{{"127.0.0.1", {self._port}}}]}}]}}].\n'
        )

    def _environment(self) -> dict[str, str]:
        here = self._directory.absolute()
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("RABBITMQ_", "ERL_"))}
        return {
            **kept,
            "PATH": _search_path(),
            "HOME": str(here),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": str(here / "mnesia"),
            "RABBITMQ_LOG_BASE": str(here / "log"),
            "RABBITMQ_LOGS": str(self.log.absolute()),
            "RABBITMQ_PID_FILE": str(here / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(here / "enabled_plugins"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(here / "advanced.config"),
            "RABBITMQ_CONFIG_FILE": str(here / "absent"),
            # Otherwise the files in /etc/rabbitmq/conf.d are read, with listeners of their own.
            "RABBITMQ_CONFIG_FILES": str(here / "absent.d"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            # The script then execs the VM instead of waiting for it in a shell.
            "RABBITMQ_ALLOW_INPUT": "true",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CTL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }


def find_sbin() -> Path:
    """The folder of RabbitMQ's own scripts; the system's wrappers change user and read /etc.

    Raises:
        ConfigError: RabbitMQ or Erlang is not installed.
    """
    for pattern in _SBIN:
        for folder in sorted(glob.glob(pattern), reverse=True):
            if os.access(Path(folder) / "rabbitmq-server", os.X_OK):
                return Path(folder)
    found = shutil.which("rabbitmq-server", path=_search_path())
    if found:
        return Path(found).resolve().parent
    raise ConfigError(
        "a private RabbitMQ node needs the rabbitmq-server program, which is not installed. "
        "Install the package rabbitmq-server, or give TINYQUEUE_BROKER_URL."
    )


def _search_path() -> str:
    return os.environ.get("PATH", "") + ":/usr/local/bin:/usr/bin:/bin:/usr/sbin"


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 on which nothing listens.

    They are drawn by the system: two processes that seeded ``random`` alike would draw the same.

    Raises:
        ServiceUnreachableError: There are none, as far as was tried.
    """
    free: list[int] = []
    for port in secrets.SystemRandom().sample(_PORTS, 200):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            free.append(port)
        if len(free) == count:
            return free
    raise ServiceUnreachableError(
        f"no {count} free ports between {_PORTS.start} and {_PORTS.stop} "
        "on 127.0.0.1. Stop what listens there."
    )


def _why_not(has_ended: bool, start_s: float, *logs: Path) -> str:
    """Why a node did not start, with what it printed last: its folder may be gone by then."""
    said = next(filter(None, map(tail, logs)), "it printed nothing")
    if has_ended:
        return f"the private RabbitMQ node ended before it took connections. Its last lines: {said}"
    return (
        f"the private RabbitMQ node did not take connections within {start_s:.0f} s. This machine "
        f"may be too busy to start it: try again. Its last lines: {said}"
    )


def _speaks_amqp(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2.0) as client:
            client.sendall(b"AMQP\x00\x00\x09\x01")
            return client.recv(1) == b"\x01"
    except OSError:
        return False
