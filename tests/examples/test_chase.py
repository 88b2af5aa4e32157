"""Given the example environment whose clock runs in another process."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import chasing
import gymnasium
import numpy as np
import pytest

HZ = 20.0


@pytest.fixture
def chase(monkeypatch: pytest.MonkeyPatch) -> Iterator[gymnasium.Env[Any, Any]]:
    monkeypatch.syspath_prepend(str(chasing.FOLDER))
    __import__("chase")
    environment = gymnasium.make("Chase-v0", hz=HZ, ticks=30, disable_env_checker=True)
    yield environment
    environment.close()
    del sys.modules["chase"], gymnasium.registry["Chase-v0"]


def test_its_clock_does_not_wait_and_counts_what_it_missed(
    chase: gymnasium.Env[Any, Any],
) -> None:
    chase.reset(seed=1)
    began_s = time.monotonic()
    infos, is_over = [], False
    while not is_over:
        if len(infos) == 5:
            time.sleep(10 / HZ)
        _, _, _, is_over, info = chase.step(np.int64(1))
        infos.append(info["missed_ticks"])
    took_s = time.monotonic() - began_s

    # Ten ticks without an action: one step covers them all.
    assert 9 <= infos[5] <= 20
    assert len(infos) + sum(infos) >= 30
    assert len(infos) <= 30 - (infos[5] - 1)
    assert took_s >= 30 / HZ - 1 / HZ


@pytest.mark.slow
def test_between_two_episodes_its_clock_stands_still(chase: gymnasium.Env[Any, Any]) -> None:
    chase.reset(seed=1)
    while not chase.step(np.int64(1))[3]:
        pass
    time.sleep(10 / HZ)

    first, _ = chase.reset(seed=2)
    second, _, _, is_over, info = chase.step(np.int64(2))

    assert not is_over
    assert info["missed_ticks"] < 9
    assert first.shape == second.shape == (3,)
    assert chase.observation_space.contains(second)


def test_it_can_be_seen_as_an_image(chase: gymnasium.Env[Any, Any]) -> None:
    image = gymnasium.make("Chase-v0", pixels=42, render_mode="rgb_array", disable_env_checker=True)
    try:
        seen, _ = image.reset(seed=3)
        assert image.observation_space.contains(seen)
        assert set(np.unique(seen)) == {0, 128, 255}
        assert np.asarray(image.render()).shape == (42, 42, 3)
    finally:
        image.close()
