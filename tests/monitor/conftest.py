from __future__ import annotations

import pytest

from tinyqueue.monitor.view import Header


@pytest.fixture
def header() -> Header:
    return Header(
        experiment="cartpole-impala",
        environment="CartPole-v1",
        algorithm="impala",
        run_directory="runs/cartpole-impala/3",
        services="embedded Redis",
        level=475.0,
        queue_batches=2,
    )
