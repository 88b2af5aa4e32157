"""A vhost with one login per role of config/services, whose password is its name."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tinyqueue.bus.topology import EXPERIENCE_EXCHANGE
from tinyqueue.local.rabbitmq_node import RabbitmqNode

TABLE = Path(__file__).parents[2] / "config/services/rabbitmq-permissions.tsv"
INVISIBLE = (
    "--without-heartbeat",
    "--",
    "worker.enable_remote_control=no",
    "worker.send_task_events=no",
)
"""Options of a worker whose login may neither send events nor answer Flower."""


@dataclass(frozen=True)
class RoleLogins:
    """Logins that no other test uses at the same time.

    Attributes:
        node: Where they are.
        vhost: Where they have permissions.
        suffix: What follows the role in a login's name.
    """

    node: RabbitmqNode
    vhost: str
    suffix: str

    def name(self, role: str) -> str:
        return f"{role}-{self.suffix}"

    def url(self, role: str) -> str:
        login = self.name(role)
        return f"amqp://{login}:{login}@127.0.0.1:{self.node.port}/{self.vhost}"


@contextmanager
def role_logins(node: RabbitmqNode, *roles: str) -> Iterator[RoleLogins]:
    """Creates the logins of some roles, with the permissions that are shipped."""
    suffix = secrets.token_hex(4)
    logins = RoleLogins(node, f"roles-{suffix}", suffix)
    node.add_vhost(logins.vhost)
    rows = [line.split("\t") for line in TABLE.read_text().splitlines() if line[0] != "#"]
    chosen = [row for row in rows if row[0] in roles]
    assert len(chosen) == len(roles)
    for role, _tags, configure, write, read, keys in chosen:
        login = logins.name(role)
        _eval(node, "add_user", login, login)
        _eval(node, "set_permissions", login, logins.vhost, configure, write, read)
        set_keys(logins, role, keys)
    try:
        yield logins
    finally:
        node.delete_vhost(logins.vhost)
        for role in roles:
            _eval(node, "delete_user", logins.name(role))


def set_keys(logins: RoleLogins, role: str, keys: str) -> None:
    """Permits a login other routing keys of the experience exchange."""
    arguments = (logins.name(role), logins.vhost, EXPERIENCE_EXCHANGE, keys, ".*")
    _eval(logins.node, "set_topic_permissions", *arguments)


def _eval(node: RabbitmqNode, function: str, *arguments: str) -> None:
    """Within the node: ``rabbitmqctl`` takes a minute on busy cores."""
    escaped = (argument.replace("\\", "\\\\") for argument in (*arguments, "tinyqueue"))
    quoted = ", ".join(f'<<"{argument}">>' for argument in escaped)
    node.eval(f"rabbit_auth_backend_internal:{function}({quoted}).")
