"""What a stage records of infos: ``metrics.info``."""

from __future__ import annotations

from typing import Any, cast

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces


class Informs(gymnasium.Env[Any, Any]):
    """Episodes of three steps. Tells the number of the step, nested, and a word."""

    observation_space = spaces.Box(0, 9, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, breaks_at: int = 0) -> None:
        self.breaks_at, self.steps = breaks_at, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.at = 0
        return np.zeros(1, np.float32), {"agent": {"step": 1000}}

    def step(self, action: Any) -> Any:
        self.at += 1
        self.steps += 1
        if self.steps == self.breaks_at:
            raise OSError("lost")
        info = {"agent": {"step": self.at}, "word": "hello", "late": 5} if self.at < 3 else {
            "agent": {"step": self.at}, "word": "bye"
        }  # fmt: skip
        return np.array([self.at], np.float32), 1.0, self.at == 3, False, info


@pytest.fixture(autouse=True)
def informs() -> Any:
    gymnasium.register("Informs-v0", cast(Any, Informs))
    yield
    gymnasium.registry.pop("Informs-v0")


KEYS = ("agent/step", "late", "word", "absent")


def test_episodes_have_the_last_value_and_the_mean_of_each_key(spec, batches):
    played = spec("Informs-v0", ticks=4, slots=2).model_copy(update={"info": KEYS})

    first, second = batches(played, 2)

    assert len(first.episodes) == len(second.episodes) == 2
    for batch in (first, second):
        for numbers, expected in (
            (batch.episodes.info_last, [3.0, 5.0]),
            (batch.episodes.info_mean, [2.0, 5.0]),
        ):
            assert numbers[:, :2].tolist() == [expected] * 2
            assert np.isnan(numbers[:, 2:]).all()


def test_an_episode_that_a_fault_ends_has_the_numbers_of_its_steps(spec, batches):
    played = spec("Informs-v0", ticks=2, slots=1, kwargs={"breaks_at": 2})
    (batch,) = batches(played.model_copy(update={"info": KEYS[:1]}), 1)

    assert batch.header.faults == 1
    assert batch.episodes.lengths.tolist() == [1]
    assert batch.episodes.info_last.tolist() == [[1.0]]


def test_without_keys_nothing_is_recorded(spec, batches):
    (batch,) = batches(spec("Informs-v0", ticks=4, slots=2), 1)

    assert len(batch.episodes) == 2
    assert batch.episodes.info_last.size == 0


def test_a_vectorised_environment_without_infos_has_no_numbers(spec, batches):
    played = spec("CartPole-v1", ticks=200, slots=2).model_copy(update={"info": ("x",)})
    (batch,) = batches(played, 1)

    assert len(batch.episodes)
    assert batch.episodes.info_last.shape == (len(batch.episodes), 1)
    assert np.isnan(batch.episodes.info_last).all()
