from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from kombu import Connection, Exchange, Queue

from tinyqueue.errors import ConfigError, ServiceUnreachableError
from tinyqueue.local import rabbitmq_node
from tinyqueue.local.rabbitmq_node import RabbitmqNode, find_sbin

pytestmark = pytest.mark.integration

_START = (
    "import sys, time; from pathlib import Path\n"
    "from tinyqueue.local.rabbitmq_node import RabbitmqNode\n"
    "node = RabbitmqNode(Path(sys.argv[1])); node.start()\n"
    "print(node.add_vhost('one'), flush=True); time.sleep(60)"
)


def listening(processes: set[psutil.Process]) -> set[str]:
    return {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


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
    rabbitmq: RabbitmqNode, tmp_path: Path
) -> None:
    first = set(psutil.Process().children(recursive=True))
    with RabbitmqNode(tmp_path) as second:
        started = set(psutil.Process().children(recursive=True)) - first
        assert {"beam.smp", "epmd"} <= {process.name() for process in started}
        assert listening(first | started) == {"127.0.0.1", "::1"}
        with Connection(second.broker_url) as one, Connection(rabbitmq.broker_url) as other:
            assert one.connect().connected
            assert other.connect().connected
    assert [process for process in started if process.is_running()] == []
    assert all(process.is_running() for process in first)


def test_a_persistent_message_outlives_kill_and_restart(tmp_path: Path) -> None:
    node = RabbitmqNode(tmp_path)
    queue = Queue("kept", Exchange("kept", durable=True), "kept", durable=True)
    with node:
        url = node.broker_url
        with Connection(url, transport_options={"confirm_publish": True}) as connection:
            connection.Producer().publish(
                {"still": "here"}, exchange=queue.exchange, routing_key="kept", declare=[queue]
            )
        os.kill(node.pid, signal.SIGKILL)
        node.stop()
        node.start()
        with Connection(url) as connection:
            message = queue(connection.channel()).get(no_ack=True)
    assert message is not None
    assert message.payload == {"still": "here"}


def test_a_killed_parent_leaves_no_beam_and_no_epmd(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _START, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline().startswith("amqp://guest:guest@127.0.0.1:")
        left = psutil.Process(parent.pid).children(recursive=True)
        assert {"beam.smp", "epmd", "erl_child_setup"} <= {process.name() for process in left}
        parent.kill()
    _, alive = psutil.wait_procs(left, timeout=5)
    assert alive == []


def test_a_normal_user_can_run_a_node(tmp_path: Path) -> None:
    system_python = shutil.which("python3", path="/usr/bin")
    if os.geteuid() != 0 or system_python is None:
        pytest.skip("changes user from root to nobody, with the system's Python")
    home = Path(f"/tmp/{tmp_path.name}-{os.getpid()}")
    home.mkdir()
    shutil.chown(home, "nobody")
    try:
        with subprocess.Popen(
            [system_python, "-c", _START, str(home)],
            stdout=subprocess.PIPE,
            text=True,
            user="nobody",
            extra_groups=[],
            env={"PYTHONPATH": str(Path(rabbitmq_node.__file__).parents[2]), "PATH": "/usr/bin"},
        ) as parent:
            assert parent.stdout is not None
            assert parent.stdout.readline().strip().endswith("/one")
            left = psutil.Process(parent.pid).children(recursive=True)
            assert {process.username() for process in left} == {"nobody"}
            parent.terminate()
        _, alive = psutil.wait_procs(left, timeout=5)
        assert alive == []
    finally:
        shutil.rmtree(home)


def test_without_rabbitmq_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rabbitmq_node, "_SBIN", ("/nowhere",))
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    with pytest.raises(ConfigError, match="Install the package rabbitmq-server"):
        find_sbin()
