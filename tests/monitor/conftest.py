from __future__ import annotations

import pytest

from tinyqueue.monitor.view import RunHeader


@pytest.fixture
def header() -> RunHeader:
    return RunHeader(
        experiment="cartpole-impala",
        environment="CartPole-v1",
        algorithm="impala",
        run_directory="runs/cartpole-impala/3",
        services="embedded Redis",
        level=475.0,
        queue_batches=2,
    )
