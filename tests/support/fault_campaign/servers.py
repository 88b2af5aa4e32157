"""RabbitMQ and Redis as a deployment has them: the files, roles and scripts of this repository."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import redis

from tinyqueue.local.guard import end_guarded, start_guarded, tail
from tinyqueue.local.rabbitmq_node import RabbitmqNode, free_ports

ROOT = Path(__file__).parents[3]
SERVICES = ROOT / "config" / "services"
VHOST = "tinyqueue"
START_S = 600.0
"""The machine may be busy with much else."""
_SYSTEMS = "/usr/bin:/usr/local/bin:/opt/homebrew/bin"
"""The one of a wheel is older than the access rules."""


def permissions() -> dict[str, list[str]]:
    """Role → tags, configure, write, read, routing keys, as scripts/rabbitmq-users.sh has it."""
    lines = (SERVICES / "rabbitmq-permissions.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return {row[0]: row[1:6] for row in rows}


def wait_for_end(pid: int, within_s: float = 10.0) -> None:
    """Returns when a process of somebody else's is gone."""
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)


class RoleRabbitmq(RabbitmqNode):
    """A node with rabbitmq.conf, and logins with the permissions of their roles.

    Args:
        folder: For everything of it.
        logins: Login → role.
    """

    start_s = START_S

    def __init__(self, folder: Path, logins: Mapping[str, str]) -> None:
        super().__init__(folder)
        self._passwords = _passwords(folder / "passwords", logins)
        self._logins = logins

    def url(self, login: str, port: int | None = None) -> str:
        """The broker URL of a login, through a proxy if its port is given."""
        password = self._passwords[login].read_text()
        return f"amqp://{login}:{password}@127.0.0.1:{port or self.port}/{VHOST}"

    def make_logins(self) -> None:
        """Creates the vhost and the logins in one go, since a rabbitmqctl takes a second."""
        done = [f"rabbit_vhost:add({_erlang(VHOST)}, {_BY})"]
        table = permissions()
        for login, role in self._logins.items():
            tags, configure, write, read, keys = table[role]
            name, password = _erlang(login), _erlang(self._passwords[login].read_text())
            in_vhost = f"{name}, {_erlang(VHOST)}"
            done += [
                f"ok = rabbit_auth_backend_internal:add_user({name}, {password}, {_BY})",
                f"rabbit_auth_backend_internal:set_tags({name}, [{tags.strip('-')}], {_BY})",
                f"rabbit_auth_backend_internal:set_permissions({in_vhost}, {_erlang(configure)}, "
                f"{_erlang(write)}, {_erlang(read)}, {_BY})",
                f"rabbit_auth_backend_internal:set_topic_permissions({in_vhost}, "
                f'<<"experience">>, {_erlang(keys)}, <<".*">>, {_BY})',
            ]
        self.eval(f"{', '.join(done)}.")

    def kill(self) -> None:
        """-9, and waits until nothing of it is left."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid)
        self.stop()

    def _environment(self) -> dict[str, str]:
        conf = str(SERVICES / "rabbitmq.conf")
        return {**super()._environment(), "RABBITMQ_CONFIG_FILE": conf}


class RoleRedis:
    """A server on a port of its own with redis.conf, and the users of scripts/redis-acl.sh.

    Args:
        folder: For everything of it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (self.port,) = free_ports(1)
        self._folder = folder
        self._guard: subprocess.Popen[bytes] | None = None
        acl = (SERVICES / "redis-users.acl").read_text()
        self._passwords = _passwords(
            folder / "passwords", {role: role for role in re.findall(r"#@(\w+)@", acl)}
        )
        self._admin = secrets.token_hex(12)
        script = ["sh", str(ROOT / "scripts" / "redis-acl.sh"), str(folder / "passwords")]
        rules = _run(script, dict(os.environ))
        (folder / "users.acl").write_text(f"{rules}user admin on >{self._admin} ~* &* +@all\n")
        (folder / "redis.conf").write_text(
            f"{(SERVICES / 'redis.conf').read_text()}\n"
            f"bind 127.0.0.1\nport {self.port}\ndir {folder}\naclfile {folder}/users.acl\n"
            f"pidfile {folder}/redis.pid\ndaemonize no\nnotify-keyspace-events K$\n"
        )

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return int((self._folder / "redis.pid").read_text())

    def url(self, role: str, port: int | None = None) -> str:
        """The URL of a role, through a proxy if its port is given."""
        password = self._passwords[role].read_text()
        return f"redis://{role}:{password}@127.0.0.1:{port or self.port}/0"

    def admin(self, timeout_s: float | None = 5.0) -> redis.Redis:
        """A client that may do everything."""
        return redis.Redis(
            port=self.port,
            username="admin",
            password=self._admin,
            socket_timeout=timeout_s,
            socket_connect_timeout=5.0,
        )

    @property
    def admin_url(self) -> str:
        """The URL of the login that may do everything."""
        return f"redis://admin:{self._admin}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Returns when it answers."""
        log = self._folder / "redis.log"
        program = shutil.which("redis-server", path=_SYSTEMS)
        assert program is not None, "the access rules need Redis 7; `make services` installs it"
        command = [program, str(self._folder / "redis.conf")]
        self._guard = start_guarded([command], log, os.environ)
        deadline_s = time.monotonic() + START_S
        while True:
            with contextlib.suppress(redis.RedisError), self.admin() as client:
                client.ping()
                return
            assert self._guard.poll() is None, tail(log)
            assert time.monotonic() < deadline_s, tail(log)
            time.sleep(0.02)

    def kill(self) -> None:
        """-9."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid)
        self.stop()

    def stop(self) -> None:
        """Ends it, if it runs."""
        if self._guard is not None:
            end_guarded(self._guard)
            self._guard = None


def declare_queues(broker_url: str, python: tuple[str, ...]) -> None:
    """Runs scripts/declare-queues.py, since players declare nothing."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TINYQUEUE_")}
    command = [*python, str(ROOT / "scripts" / "declare-queues.py")]
    _run(command, {**environment, "TINYQUEUE_BROKER_URL": broker_url, "PYTHONPATH": str(ROOT)})


def _erlang(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'<<"{escaped}">>'


_BY = _erlang("campaign")


def _passwords(folder: Path, names: Mapping[str, str]) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / f"{name}-password" for name in names}
    for file in files.values():
        file.write_text(secrets.token_hex(12))
    return files


def _run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{command[:2]}: {done.stdout}{done.stderr}"
    return done.stdout
