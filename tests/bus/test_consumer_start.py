"""What keeps a consumer from starting is raised once, and not also logged."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.consumer import ExperienceConsumer
from tinyqueue.errors import ServiceUnreachableError


def test_a_broker_that_is_away_is_said_once() -> None:
    nobody: Any = SimpleNamespace()
    consumer: ExperienceConsumer[Any] = ExperienceConsumer(
        Broker("redis://localhost:1"), "pole", nobody, queue_batches=2, prefetch=2
    )

    with (
        capture_logs() as logs,
        pytest.raises(ServiceUnreachableError, match="Start it, or correct TINYQUEUE_BROKER_URL"),
    ):
        consumer.start()
    consumer.stop(5.0)

    assert logs == []
