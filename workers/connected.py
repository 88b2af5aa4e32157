#!/usr/bin/env python3
"""connected.py [PID]: exits with 0 if a process has a connection to its broker, else with 1.

For Linux. It only reads /proc: a player's login may not ask the broker about itself, and a check
that starts Celery every minute would cost more than an idle player.
"""

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

ESTABLISHED = "01"
PORTS = {"amqp": 5672, "amqps": 5671, "redis": 6379, "rediss": 6379}


def broker_port() -> int:
    """The port in TINYQUEUE_BROKER_URL, or in the file that TINYQUEUE_BROKER_URL_FILE names."""
    file = os.environ.get("TINYQUEUE_BROKER_URL_FILE")
    url = Path(file).read_text() if file else os.environ.get("TINYQUEUE_BROKER_URL", "amqp://")
    parts = urlsplit(url.strip())
    return parts.port or PORTS[parts.scheme]


def established(pid: int, port: int) -> set[str]:
    """Inodes of the sockets in the process's network that are connected to a remote port."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, _, remote, state, *rest = line.split()
            if state == ESTABLISHED and int(remote.rpartition(":")[2], 16) == port:
                found.add(rest[5])
    return found


def sockets(pid: int) -> set[str]:
    """Inodes of the sockets that the process has open."""
    names = (os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir())
    return {name[8:-1] for name in names if name.startswith("socket:[")}


def main() -> int:
    """Returns the exit code: 0 when the process is connected."""
    pid = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    port = broker_port()
    try:
        connected = bool(established(pid, port) & sockets(pid))
    except OSError as error:
        print(f"process {pid} cannot be inspected: {error}")
        return 1
    print(f"process {pid}: {'' if connected else 'no '}connection to the broker's port {port}")
    return 0 if connected else 1


if __name__ == "__main__":
    sys.exit(main())
