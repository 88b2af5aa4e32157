from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from kombu import Connection, Exchange, Queue

from tinyqueue.errors import ConfigError, ServiceUnreachableError
from tinyqueue.local import rabbitmq_node
from tinyqueue.local.rabbitmq_node import RabbitmqNode, find_sbin, free_ports

pytestmark = pytest.mark.integration

_START = (
    "import sys, time; from pathlib import Path\n"
    "from tinyqueue.local.rabbitmq_node import RabbitmqNode\n"
    "node = RabbitmqNode(Path(sys.argv[1])); node.start()\n"
    "print(node.add_vhost('one'), flush=True); time.sleep(60)"
)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitmqNode]:
    with RabbitmqNode(tmp_path_factory.mktemp("second")) as node:
        yield node


@pytest.fixture
def normal_user(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What Popen needs to start a node as someone who is not root: nobody, when this is root.

    nobody may enter neither pytest's folders nor, often, this interpreter's.
    """
    if os.geteuid() != 0:
        yield {"args": [sys.executable, "-c", _START, str(tmp_path)]}
        return
    python = shutil.which("python3", path="/usr/bin")
    if python is None:
        pytest.skip("nobody needs a Python of the system's own")
    home = Path(tempfile.mkdtemp())
    shutil.chown(home, "nobody")
    yield {
        "args": [python, "-c", _START, str(home)],
        "user": "nobody",
        "extra_groups": [],
        "env": {"PYTHONPATH": str(Path(rabbitmq_node.__file__).parents[2]), "PATH": "/usr/bin"},
    }
    shutil.rmtree(home)


def listening(processes: set[psutil.Process]) -> set[str]:
    return {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


def test_processes_that_seed_alike_draw_other_ports() -> None:
    drawn = []
    for _ in range(2):
        random.seed(0)
        drawn.append(free_ports(3))
    assert not set(drawn[0]) & set(drawn[1])


def test_a_message_goes_through_a_fresh_vhost(rabbitmq: RabbitmqNode) -> None:
    with Connection(rabbitmq.add_vhost("through")) as connection:
        queue = connection.SimpleQueue("greetings")
        queue.put({"hello": 1})
        message = queue.get(timeout=5)
        message.ack()
        queue.close()
    assert message.payload == {"hello": 1}


def test_a_deleted_vhost_takes_its_connections_with_it(rabbitmq: RabbitmqNode) -> None:
    url = rabbitmq.add_vhost("gone")
    rabbitmq.delete_vhost("gone")
    with pytest.raises(Exception, match="vhost gone not found"), Connection(url) as connection:
        connection.connect()


def test_rabbitmqctl_reaches_the_node(rabbitmq: RabbitmqNode) -> None:
    assert "guest" in rabbitmq.ctl("list_users", "--quiet")


def test_an_alarm_can_be_set_and_cleared_from_outside(rabbitmq: RabbitmqNode) -> None:
    alarm = "{resource_limit, memory, node()}"
    rabbitmq.eval(f"rabbit_alarm:set_alarm({{{alarm}, []}}).")
    assert "memory" in rabbitmq.eval("rabbit_alarm:get_alarms().")
    rabbitmq.eval(f"rabbit_alarm:clear_alarm({alarm}).")
    assert "memory" not in rabbitmq.eval("rabbit_alarm:get_alarms().")


def test_a_failed_expression_says_what_failed(rabbitmq: RabbitmqNode) -> None:
    with pytest.raises(ServiceUnreachableError, match="no_such_module"):
        rabbitmq.eval("no_such_module:function().")


def test_a_vhost_name_that_is_not_one_is_refused(rabbitmq: RabbitmqNode) -> None:
    with pytest.raises(ConfigError, match="vhost"):
        rabbitmq.add_vhost('x">>)')


def test_a_second_node_runs_beside_the_first_and_both_listen_on_loopback_only(
    rabbitmq: RabbitmqNode, second: RabbitmqNode
) -> None:
    processes = set(psutil.Process().children(recursive=True))
    assert {rabbitmq.pid, second.pid} <= {process.pid for process in processes}
    assert listening(processes) == {"127.0.0.1", "::1"}
    with Connection(second.broker_url) as one, Connection(rabbitmq.broker_url) as other:
        assert one.connect().connected
        assert other.connect().connected


def test_a_persistent_message_outlives_kill_and_restart_and_a_stop_leaves_nothing(
    rabbitmq: RabbitmqNode, second: RabbitmqNode
) -> None:
    queue = Queue("kept", Exchange("kept", durable=True), "kept", durable=True)
    url = second.broker_url
    with Connection(url, transport_options={"confirm_publish": True}) as connection:
        connection.Producer().publish(
            {"still": "here"}, exchange=queue.exchange, routing_key="kept", declare=[queue]
        )
    os.kill(second.pid, signal.SIGKILL)
    second.stop()
    before = set(psutil.Process().children(recursive=True))
    second.start()
    with Connection(url) as connection:
        message = queue(connection.channel()).get(no_ack=True)
    assert message is not None
    assert message.payload == {"still": "here"}
    started = set(psutil.Process().children(recursive=True)) - before
    assert {"beam.smp", "epmd"} <= {process.name() for process in started}
    second.stop()
    assert [process for process in started if process.is_running()] == []
    assert psutil.pid_exists(rabbitmq.pid)


def test_what_a_node_orphans_does_not_pile_up(rabbitmq: RabbitmqNode) -> None:
    guard = psutil.Process(rabbitmq.pid).parent()
    assert guard is not None
    rabbitmq.eval("os:cmd(\"sh -c 'sleep 0.2 & exit'\").")

    def left() -> list[str]:
        return sorted(process.name() for process in guard.children())

    deadline = time.monotonic() + 3
    while left() != ["beam.smp", "epmd"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left() == ["beam.smp", "epmd"]


def test_a_killed_parent_leaves_no_beam_and_no_epmd_of_a_normal_user(
    normal_user: dict[str, Any],
) -> None:
    with subprocess.Popen(**normal_user, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline().startswith("amqp://guest:guest@127.0.0.1:")
        left = psutil.Process(parent.pid).children(recursive=True)
        assert {"beam.smp", "epmd", "erl_child_setup"} <= {process.name() for process in left}
        assert 0 not in {process.uids().real for process in left}
        parent.kill()
    _, alive = psutil.wait_procs(left, timeout=5)
    assert alive == []


def test_without_rabbitmq_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rabbitmq_node, "_SBIN", ("/nowhere",))
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    with pytest.raises(ConfigError, match="Install the package rabbitmq-server"):
        find_sbin()


def test_the_files_of_a_system_node_are_not_read(tmp_path, monkeypatch):
    """Files in /etc/rabbitmq/conf.d may open ports, which are the system's."""
    monkeypatch.setenv("RABBITMQ_CONFIG_FILES", "/etc/rabbitmq/conf.d")

    environment = RabbitmqNode(tmp_path)._environment()

    named = [environment[f"RABBITMQ_{name}"] for name in ("CONFIG_FILE", "CONFIG_FILES")]
    assert all(path.startswith(str(tmp_path)) for path in named)
    assert environment["RABBITMQ_ENABLED_PLUGINS_FILE"].startswith(str(tmp_path))
