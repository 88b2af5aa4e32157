"""The app that ``celery -A tinyqueue`` finds."""

import json
import os
import subprocess
import sys

import pytest

from tinyqueue.celery import configuration, make_app
from tinyqueue.settings import Settings

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


def test_a_worker_knows_two_tasks_and_loads_nothing_that_only_learners_need():
    done = run("-c", LOADS)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [["evaluate-policy", "play-episode"], []]


def test_a_misspelt_queue_ends_a_worker_at_once():
    done = run("-m", "celery", "-A", "tinyqueue", "worker", "-Q", "paly", "-c", "1")

    assert done.returncode != 0
    assert "paly" in done.stdout + done.stderr


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
    assert given["task_soft_time_limit"] < given["task_time_limit"]


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("amqp://localhost", {"confirm_publish": True}),
        ("redis://localhost", {"visibility_timeout": 6000}),
    ],
)
def test_each_broker_gets_the_options_that_it_has(url, options):
    assert make_app(Settings(broker_url=url)).conf.broker_transport_options == options


def test_a_requeued_task_on_redis_comes_later_than_any_time_limit():
    given = configuration(Settings(broker_url="redis://localhost"))

    assert given["broker_transport_options"]["visibility_timeout"] > given["task_time_limit"]


def test_every_play_queue_of_the_settings_is_declared():
    queues = configuration(Settings(play_queues="play,play.gpu"))["task_queues"]

    assert [queue.name for queue in queues] == ["play", "play.gpu", "evaluate"]
