"""Given a head that acts at random until the run has some env steps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tinyqueue.data.spaces import Array, Leaf
from tinyqueue.errors import ConfigError
from tinyqueue.policy.heads import ENTROPY, LOG_PROB, Sampling, make_head

TICKS, SLOTS = 4, 500
ACTIONS = {"": Leaf("float32", (2,), low=-1.0, high=1.0)}
NARROW = {
    "mean": np.full((SLOTS, 2), 0.5, np.float32),
    "log_std": np.full((SLOTS, 2), -5.0, np.float32),
}


def played(env_steps: int, **config: Any) -> tuple[Array, dict[str, Array]]:
    head = make_head("squashed", config, ACTIONS)
    head.begin(TICKS, SLOTS, np.random.default_rng(0), env_steps)
    actions = np.stack([head.act(tick, NARROW)[""].copy() for tick in range(TICKS)])
    return actions, head.recorded()


@pytest.mark.parametrize(("env_steps", "is_random"), [(0, True), (99, True), (100, False)])
def test_it_is_random_below_its_steps_and_records_what_it_did(
    env_steps: int, is_random: bool
) -> None:
    actions, recorded = played(env_steps, random_steps=100, record_entropy=True)
    if is_random:
        assert np.abs(actions.mean()) < 0.05
        assert actions.min() < -0.95
        assert actions.max() > 0.95
        # Uniform on a square of side 2.
        np.testing.assert_allclose(recorded[LOG_PROB], -2 * math.log(2), rtol=1e-6)
        np.testing.assert_allclose(recorded[ENTROPY], 2 * math.log(2), rtol=1e-6)
    else:
        np.testing.assert_allclose(actions, math.tanh(0.5), atol=0.05)
    assert recorded[LOG_PROB].shape == recorded[ENTROPY].shape == (TICKS, SLOTS)


def test_without_steps_it_is_the_other_head_itself() -> None:
    assert isinstance(make_head("squashed", {}, ACTIONS), Sampling)


def test_steps_below_zero_are_refused() -> None:
    with pytest.raises(ConfigError, match="random_steps"):
        make_head("squashed", {"random_steps": -1}, ACTIONS)
