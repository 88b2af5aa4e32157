"""The app that ``celery -A tinyqueue`` finds."""

import json
import os
import pty
import subprocess
import sys

import pytest

from tinyqueue.bus.amqp_frames import tolerant_frame_handler
from tinyqueue.celery import (
    configuration,
    make_app,
    refuse_another_broker,
    refuse_shared_stages,
)
from tinyqueue.settings import Settings
from tinyqueue.tasks import LIMITS_S

LOADS = """
import json, sys
from celery.app.utils import find_app

app = find_app("tinyqueue")
app.loader.import_default_modules()
tasks = [name for name in app.tasks if not name.startswith("celery.")]
heavy = {"tensorflow", "keras", "tf2onnx", "onnx", "matplotlib"} & set(sys.modules)
print(json.dumps([sorted(tasks), sorted(heavy)]))
"""


def run(*command, **environment):
    env = {k: v for k, v in os.environ.items() if not k.startswith("TINYQUEUE_")} | environment
    return subprocess.run(
        [sys.executable, *command], env=env, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.integration
def test_a_worker_knows_two_tasks_and_loads_nothing_that_only_learners_need():
    done = run("-c", LOADS)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [["evaluate-policy", "play-episode"], []]


@pytest.mark.integration
def test_the_log_of_a_worker_on_a_terminal_has_no_escape_sequences():
    terminal, of_worker = pty.openpty()
    command = ["-m", "celery", "-A", "tinyqueue", "worker", "-Q", "play", "-P", "solo"]
    worker = subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, "TINYQUEUE_BROKER_URL": "amqp://127.0.0.1:1//"},
        stdout=subprocess.DEVNULL,
        stderr=of_worker,
    )
    try:
        said = b""
        while b"no connection to the broker" not in said:
            said += os.read(terminal, 4096)
    finally:
        worker.kill()
        worker.wait()
        os.close(of_worker)
        os.close(terminal)

    assert b"\x1b" not in said
    assert rb"\x1b" not in said


@pytest.mark.integration
def test_a_misspelt_queue_ends_a_worker_at_once():
    done = run("-m", "celery", "-A", "tinyqueue", "worker", "-Q", "paly", "-c", "1")

    assert done.returncode != 0
    assert "paly" in done.stdout + done.stderr


POOLS = """
from celery.concurrency.prefork import TaskPool as Prefork

class Custom(Prefork):
    pass
"""


@pytest.mark.integration
@pytest.mark.parametrize(
    ("pool", "variables"),
    [
        ("threads", {}),
        ("custom", {"CELERY_CUSTOM_WORKER_POOL": "odd_pools:Custom"}),
    ],
)
def test_a_pool_whose_tasks_would_share_a_stage_is_refused_with_what_to_write(
    pool, variables, tmp_path
):
    (tmp_path / "odd_pools.py").write_text(POOLS)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])

    done = run(
        *("-m", "celery", "-A", "tinyqueue", "worker", "-Q", "play", "-c", "4", "-P", pool),
        PYTHONPATH=path,
        **variables,
    )

    assert done.returncode != 0
    assert f"cannot use the pool {pool!r}" in done.stderr
    assert "share its environments" in done.stderr
    assert "-P prefork -c 4" in done.stderr


@pytest.mark.parametrize("pool", ["prefork", "processes", "solo"])
def test_pools_of_processes_are_taken(pool):
    worker = type("Worker", (), {"pool_cls": pool})

    refuse_shared_stages(worker)


@pytest.mark.parametrize("pool", ["thread", "eventlet", "gevent"])
def test_green_threads_are_threads(pool):
    kind = type("TaskPool", (), {"__module__": f"celery.concurrency.{pool}"})
    worker = type("Worker", (), {"pool_cls": kind})

    with pytest.raises(SystemExit, match=f"cannot use the pool '{pool}"):
        refuse_shared_stages(worker)


@pytest.mark.parametrize("name", ["CELERY_BROKER_URL", "CELERY_BROKER_READ_URL"])
def test_a_worker_that_another_projects_variable_would_lead_astray_is_refused(monkeypatch, name):
    monkeypatch.setenv("TINYQUEUE_BROKER_URL", "redis://own:6379")
    monkeypatch.setenv(name, "redis://own:6379")
    refuse_another_broker()

    monkeypatch.setenv(name, "amqp://me:secret@elsewhere//")
    with pytest.raises(SystemExit, match=f"unset {name}") as refused:
        refuse_another_broker()
    assert "secret" not in str(refused.value)


@pytest.mark.integration
def test_a_setting_that_cannot_be_used_is_named():
    done = run("-c", "import tinyqueue.celery", TINYQUEUE_QUEUE_TYPE="lossy")

    assert done.returncode != 0
    assert "TINYQUEUE_QUEUE_TYPE" in done.stderr


def test_tasks_survive_their_worker_and_bring_no_code():
    given = configuration(Settings())

    assert given["task_acks_late"]
    assert given["task_reject_on_worker_lost"]
    assert given["accept_content"] == ["json"]
    assert given["task_serializer"] == "json"
    assert given["worker_prefetch_multiplier"] == 1
    # A limit there could strike an idle process after an outage of the broker.
    assert not {"task_time_limit", "task_soft_time_limit"} & set(given)
    hard_s, soft_s = LIMITS_S
    assert 600 < soft_s < hard_s


RABBITMQ = {"frame_handler": tolerant_frame_handler}


@pytest.mark.parametrize(
    ("url", "options"),
    [
        *((f"{scheme}://localhost", RABBITMQ) for scheme in ("amqp", "amqps", "pyamqp")),
        ("redis://localhost", {"visibility_timeout": 6000}),
    ],
)
def test_each_broker_gets_the_options_that_it_has(url, options):
    assert make_app(Settings(broker_url=url)).conf.broker_transport_options == options


def test_a_requeued_task_on_redis_comes_later_than_any_time_limit():
    given = configuration(Settings(broker_url="redis://localhost"))

    assert given["broker_transport_options"]["visibility_timeout"] > max(LIMITS_S)


def test_workers_are_not_controlled_from_afar_unless_asked_for():
    assert not configuration(Settings())["worker_enable_remote_control"]
    assert configuration(Settings(remote_control=True))["worker_enable_remote_control"]


def test_learners_send_no_events_of_the_tasks_they_send():
    assert not configuration(Settings())["task_send_sent_event"]


def test_every_play_queue_of_the_settings_is_declared():
    queues = configuration(Settings(play_queues="play,play.gpu"))["task_queues"]

    assert [queue.name for queue in queues] == ["play", "play.gpu", "evaluate"]
