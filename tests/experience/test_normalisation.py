"""Normalised rewards and statistics of observations: by hand, in a checkpoint, and refused."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from stream_batches import HEADER, random_batch

from tinyqueue.algorithms.trajectories import EARNED
from tinyqueue.catalogue import make_experiment
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Leaf
from tinyqueue.errors import CheckpointError, ConfigError
from tinyqueue.experience.normalisation import (
    EPSILON,
    Normalisation,
    is_of_normalisation,
    require_normalisable,
)
from tinyqueue.replay.samples import TransitionSample

NUMBERS = {"": Leaf("float32", (4,))}


class Layer:
    """What a network's layer keeps."""

    def __init__(self, size: int = 4) -> None:
        self.mean, self.deviation = (
            SimpleNamespace(shape=(size,), now=np.full(size, first), assign=self._assigning(name))
            for name, first in (("mean", 0.0), ("deviation", 1.0))
        )

    def _assigning(self, name: str) -> Any:
        def assign(values: Any) -> None:
            getattr(self, name).now = values

        return assign


def earning(rewards: Any, n: int = 0) -> SessionBatch:
    """One long episode in every slot of ``[T, B]`` rewards."""
    earned = np.asarray(rewards, np.float32)
    never = np.zeros(earned.shape, bool)
    return SessionBatch(replace(HEADER, n=n), {}, {}, earned, never, never, ~never)


def test_layers_have_the_moments_of_all_valid_ticks() -> None:
    # Given batches with autoreset ticks, whose last row is of the next batch
    layer = Layer()
    normalisation = Normalisation({"": layer})
    batches = [random_batch(seed) for seed in range(3)]
    assert normalisation.is_new

    # When they are counted, two of them together
    normalisation.observe(batches[:2])
    normalisation.observe(batches[2:])

    # Then the layer has mean and deviation of what was seen when an action was taken
    seen = np.concatenate([batch.observations[""][:-1][batch.valid] for batch in batches])
    np.testing.assert_allclose(layer.mean.now, seen.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.deviation.now, np.sqrt(seen.var(0) + EPSILON), rtol=1e-5)
    numbers = normalisation.numbers()
    assert numbers["observation_mean"] == pytest.approx(float(seen.mean()), rel=1e-5)
    assert numbers["observation_deviation"] == pytest.approx(float(seen.std(0).mean()), rel=1e-5)
    assert not normalisation.is_new


def test_a_constant_observation_stays_small() -> None:
    layer = Layer()
    same = replace(random_batch(), observations={"": np.full((6, 4, 4), np.float32(0.1))})

    Normalisation({"": layer}).observe([same] * 50)

    assert layer.mean.now.tolist() == [np.float32(0.1)] * 4
    assert np.all((np.float32(0.1) - layer.mean.now) / layer.deviation.now == 0)


def test_rewards_are_divided_by_the_deviation_of_discounted_returns() -> None:
    # Given returns 1, 1.5, 1.75 and 4, 6, 7 at γ = 0.5
    normalisation = Normalisation(gamma=0.5)
    batch = earning([[1.0, 4.0]] * 3)
    normalisation.observe([batch])
    deviation = np.std([1, 1.5, 1.75, 4, 6, 7])

    # When the same batch is trained on
    (applied,) = normalisation.applied([batch])

    # Then its rewards have another unit and the same sign, and what was earned is kept
    np.testing.assert_allclose(applied.rewards[0], np.array([1.0, 4.0]) / deviation, rtol=1e-6)
    np.testing.assert_array_equal(applied.extras[EARNED], batch.rewards)
    assert normalisation.numbers() == {"reward_scale": pytest.approx(1 / deviation)}
    assert applied.rewards.dtype == np.float32


def test_a_return_runs_on_into_the_next_batch() -> None:
    together, apart = Normalisation(gamma=0.9), Normalisation(gamma=0.9)
    rewards = np.random.default_rng(0).normal(size=(8, 3))

    together.observe([earning(rewards)])
    apart.observe([earning(rewards[:5])])
    apart.observe([earning(rewards[5:], n=1)])

    assert apart.reward_deviation == pytest.approx(together.reward_deviation, rel=1e-9)


def test_rewards_are_clipped_to_ten() -> None:
    normalisation = Normalisation(gamma=0.0)
    normalisation.observe([earning([[1.0], [-1.0]] * 50)])

    (applied,) = normalisation.applied([earning([[500.0], [-500.0], [2.0]])])

    assert applied.rewards.ravel().tolist() == pytest.approx([10.0, -10.0, 2.0])


@pytest.mark.parametrize("reward", [0.0, 0.1, -3.0])
def test_as_long_as_returns_do_not_vary_rewards_are_left_alone(reward: float) -> None:
    normalisation = Normalisation(gamma=0.0)
    normalisation.observe([earning([[reward]] * n, n) for n in range(1, 30)])

    assert normalisation.reward_deviation == 1.0


def test_samples_of_a_replay_are_divided_by_what_is_known_when_they_are_drawn() -> None:
    # Given 3-step returns
    rows = np.arange(3)
    sample = TransitionSample(
        rows=rows,
        births=rows,
        observations={},
        actions=rows,
        returns=np.array([4.0, -8.0, 900.0], np.float32),
        discounts=np.ones(3, np.float32),
        next_observations={},
        weights=np.ones(3, np.float32),
    )
    normalisation = Normalisation(gamma=0.0, n_step=3)
    normalisation.observe([earning([[2.0], [-2.0]])])

    # When the statistics change
    before = normalisation.applied(sample).returns.tolist()
    normalisation.observe([earning([[6.0], [-6.0]], n=1)])
    after = normalisation.applied(sample).returns

    # Then so does the sample: deviations 2 and √20, and a bound of 3 · 10
    assert before == pytest.approx([2.0, -4.0, 30.0])
    assert after.tolist() == pytest.approx([4 / 20**0.5, -8 / 20**0.5, 30.0])
    assert sample.returns.tolist() == [4.0, -8.0, 900.0]


def test_without_settings_nothing_is_counted_or_changed() -> None:
    normalisation = Normalisation()
    batches = [random_batch()]
    normalisation.observe(batches)

    assert normalisation.applied(batches) is batches
    assert normalisation.state() == {}
    assert normalisation.numbers() == {}
    assert not normalisation.is_new
    normalisation.restore({"model/w": np.ones(1)})


def test_what_a_checkpoint_holds_continues_it() -> None:
    # Given statistics in a checkpoint, after which more is counted
    kept, layer = Normalisation({"": Layer()}, gamma=0.9), Layer()
    kept.observe([random_batch(1), random_batch(2)])
    state = kept.state()
    assert all(map(is_of_normalisation, state))

    # When others are restored from it and count the same
    restored = Normalisation({"": layer}, gamma=0.9)
    restored.restore({**state, "model/w": np.ones(1)})
    np.testing.assert_allclose(layer.mean.now, state["normalisation/observations//mean"], rtol=1e-6)
    for each in (kept, restored):
        each.observe([replace(random_batch(3), header=replace(HEADER, stage="f" * 32))])

    # Then they are the same, bit by bit
    for name, array in restored.state().items():
        assert array.tobytes() == kept.state()[name].tobytes()


def test_a_checkpoint_without_statistics_is_refused() -> None:
    with pytest.raises(CheckpointError, match="no such statistics"):
        Normalisation({"": Layer()}).restore({"model/w": np.ones(1)})


def experiment(environment: dict[str, Any], **algorithm: Any) -> Any:
    return make_experiment(
        {"environment": {"id": "CartPole-v1", **environment}, "algorithm": algorithm}
    )


@pytest.mark.parametrize(
    ("algorithm", "said"),
    [
        ({"name": "ppo", "reward_scale": 0.1}, r"Remove algorithm\.reward_scale"),
        ({"name": "ppo", "reward_clip": 1.0}, r"Remove algorithm\.reward_clip"),
        ({"name": "apex"}, r"algorithm\.prioritised = false"),
        ({"name": "r2d2"}, r"algorithm\.prioritised = false"),
    ],
)
def test_rewards_are_not_normalised_where_that_is_unsound(algorithm: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        require_normalisable(experiment({"normalise_rewards": True}, **algorithm), NUMBERS)
    require_normalisable(experiment({"normalise_observations": True}, **algorithm), NUMBERS)


@pytest.mark.parametrize("name", ["ppo", "impala", "dqn", "sac", "r2d2"])
def test_where_it_is_sound_nothing_is_said(name: str) -> None:
    uniform = {"prioritised": False} if name == "r2d2" else {}
    both = {"normalise_rewards": True, "normalise_observations": True}

    require_normalisable(experiment(both, name=name, **uniform), NUMBERS)


def test_a_setting_that_would_have_no_effect_is_refused() -> None:
    pixels = {"": Leaf("uint8", (84, 84), low=0.0, high=255.0)}

    with pytest.raises(ConfigError, match="no real numbers outside images: 7056 numbers"):
        require_normalisable(experiment({"normalise_observations": True}), pixels)


def test_an_image_of_floats_alone_is_refused_as_an_image() -> None:
    depths = {"": Leaf("float32", (84, 84, 1), low=0.0, high=9.0)}

    with pytest.raises(ConfigError, match=r"outside images: .* scaled by the bounds"):
        require_normalisable(experiment({"normalise_observations": True}), depths)


def test_a_run_that_starts_from_another_goes_on_from_its_statistics() -> None:
    # Given layers with another run's numbers, which one batch would hardly move
    layer = Layer()
    layer.mean.now, layer.deviation.now = np.full(4, 5.0), np.full(4, 2.0)
    for kept in (layer.mean, layer.deviation):
        kept.numpy = lambda kept=kept: kept.now
    normalisation = Normalisation({"": layer})

    normalisation.begin_from_layers(100_000)
    assert not normalisation.is_new
    normalisation.observe([random_batch()])

    np.testing.assert_allclose(layer.mean.now, 5.0, atol=0.01)
    np.testing.assert_allclose(layer.deviation.now, 2.0, atol=0.01)
