"""The operator's script, without a broker: what it would declare, and how it says what is wrong."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tinyqueue.bus.topology import experience_queue, kept_queue
from tinyqueue.experiment.sections import LearnerConfig
from tinyqueue.settings import Settings

SCRIPT = Path(__file__).parents[2] / "scripts" / "declare-queues.py"


def script() -> Any:
    spec = importlib.util.spec_from_file_location("declare_queues", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("word", "config"),
    [
        ("pole:2", LearnerConfig()),
        ("pole:7", LearnerConfig(queue_batches=7)),
        ("pole:2:8", LearnerConfig(queue_batches=2, batches_per_update=8)),
    ],
)
def test_queues_have_the_arguments_that_the_learner_wants(word: str, config: LearnerConfig) -> None:
    declare = script()

    found = {queue.name: queue for queue in declare.queues(Settings(), [declare.wanted(word)])}

    for wanted in (
        experience_queue("pole", config.queue_batches),
        kept_queue("pole", config.queue_batches, config.batches_per_update + 1),
    ):
        assert found[wanted.name].queue_arguments == wanted.queue_arguments


@pytest.mark.integration
@pytest.mark.parametrize(
    ("broker_url", "variables", "said"),
    [
        ("amqp://u:secret@localhost:1//", {}, "TINYQUEUE_BROKER_URL"),
        ("amqp://u:secret#1@localhost//", {}, "not escaped"),
        ("amqps://u:secret@localhost:1//?ssl_ca_certs=/nowhere.pem", {}, "/nowhere.pem"),
        ("amqp://u:secret@localhost:1//", {"TINYQUEUE_REDIS_URL_FILE": "/nowhere"}, "/nowhere"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    broker_url: str, variables: dict[str, str], said: str
) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT],
        env={**os.environ, "TINYQUEUE_BROKER_URL": broker_url, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr
