"""Which runs are flat, and why."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from tinyqueue.catalogue import make_experiment
from tinyqueue.data.episodes import Episodes
from tinyqueue.data.session import Header, SessionBatch
from tinyqueue.monitor.flat_runs import FlatRun
from tinyqueue.monitor.metrics import Metric

HEADER = Header("pole", "e" * 32, "f" * 32, 0, "local", "here", 0, 0)
TICKS, SLOTS = 32, 8


def experiment(environment_id="CartPole-v1", **tables):
    return make_experiment({"environment": {"id": environment_id}, **tables})


def pushes(rng, shape):
    return rng.integers(2, size=shape).astype(np.uint8)


def batch(returns, rng, seen=None, acts=pushes):
    shape = (TICKS, SLOTS)
    nothing = np.zeros(shape, bool)
    shown = rng.normal(size=(TICKS + 1, SLOTS, 4)) if seen is None else seen(rng)
    many = len(returns)
    return SessionBatch(
        header=HEADER,
        observations={"": shown.astype(np.float32)},
        actions={"": acts(rng, shape)},
        rewards=np.zeros(shape, np.float32),
        terminated=nothing,
        truncated=nothing,
        valid=~nothing,
        episodes=Episodes.of([0] * many, returns, [9] * many, [0.1] * many),
    )


def watched(
    curve, env_steps=200_000, *, level=None, seed=0, entropy=None, of=None, seen=None, acts=pushes
):
    """A run whose returns follow ``curve(share of the run, rng)``, and whether it was ever flat."""
    rng = np.random.default_rng(seed)
    flat = FlatRun(of or experiment(), level)
    batches, was_flat = env_steps // (TICKS * SLOTS), False
    for number in range(batches):
        share = number / batches
        numbers: dict[str, float] = {} if entropy is None else {Metric.ENTROPY: entropy(share)}
        flat.see([batch(curve(share, rng), rng, seen, acts)], numbers, share * 100.0)
        was_flat |= flat.is_flat
    return flat.advice(), was_flat


def noisy(mean, deviation):
    return lambda share, rng: rng.normal(mean(share), deviation, 2)


RISING = {
    "in a line": noisy(lambda share: 500 * share, 50),
    "late": noisy(lambda share: 20 + 480 / (1 + np.exp(-12 * (share - 0.7))), 40),
    "as a lander": noisy(lambda share: -200 + 430 * share, 110),
    "slowly": noisy(lambda share: 9 + 30 * share, 5),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", RISING)
def test_a_run_that_rises_is_left_in_peace(name, seed):
    assert watched(RISING[name], seed=seed, level=475.0) == ([], False)


def test_a_run_at_its_level_is_left_in_peace():
    assert watched(noisy(lambda share: 480, 10), level=475.0) == ([], False)


def test_a_run_without_a_level_that_has_risen_is_left_in_peace():
    assert watched(noisy(lambda share: min(20.0, 100 * share), 3)) == ([], False)


def test_a_short_run_is_left_in_peace():
    assert watched(noisy(lambda share: 9, 1), env_steps=90_000, level=475.0) == ([], False)


def test_a_run_with_few_episodes_is_left_in_peace():
    def curve(share, rng):
        return [9.0] if rng.random() < 0.02 else []

    assert watched(curve, level=475.0) == ([], False)


@pytest.mark.parametrize("seed", range(3))
def test_a_flat_run_is_advised_and_says_what_it_saw(seed):
    said = watched(noisy(lambda share: 9, 1), level=475.0, seed=seed)[0]
    assert said[0].startswith("the return stays at ")
    assert "nothing that was measured says why" in said[0]
    assert "--set algorithm.learning_rate=0.0001 --set session.slots=64" in said[1]


def test_a_run_that_rose_and_stays_below_its_level_is_advised():
    assert watched(noisy(lambda share: min(200.0, 2000 * share), 30), level=475.0)[0]


def test_a_chain_of_which_no_end_is_found_is_told_that_rewards_are_rare():
    said = watched(lambda share, rng: [0.0, 0.0])[0]
    assert "100% of the last episodes had the same, 0" in said[0]
    assert "--set algorithm.entropy_weight=0.03" in said[1]


def test_a_chain_for_q_learning_explores_for_longer():
    q = experiment(algorithm={"name": "dqn"})
    said = watched(lambda share, rng: [-200.0], of=q, level=-110.0)[0]
    assert "the same, -200" in said[0]
    assert "--set algorithm.n_step=10 --set algorithm.exploration_steps=40000" in said[1]


def test_a_run_in_which_no_episode_ends_is_told_to_end_them():
    said = watched(lambda share, rng: [])[0]
    assert "no episode has ended" in said[0]
    assert "environment.max_episode_steps=1000" in said[1]


def positions(rng):
    """Of something that was given a speed and keeps it, in every slot anew."""
    speed = rng.normal(size=(1, SLOTS, 4))
    times = np.arange(TICKS + 1)[:, None, None]
    return (rng.normal(size=(1, SLOTS, 4)) + times * speed).astype(np.float32)


@pytest.mark.parametrize(
    ("of", "setting"),
    [
        (experiment(), "run: --set model.core=gru"),
        (experiment(algorithm={"name": "dqn"}), "algorithm.name=r2d2 --set model.core=gru"),
    ],
)
def test_a_run_that_sees_positions_alone_is_told_to_remember(of, setting):
    said = watched(noisy(lambda share: 9, 1), level=475.0, of=of, seen=positions)[0]
    assert "with the one before it" in said[0]
    assert setting in said[1]


def test_a_run_with_a_memory_is_not_told_to_remember():
    of = experiment(model={"name": "mlp", "core": "gru"})
    said = watched(noisy(lambda share: 9, 1), level=475.0, of=of, seen=positions)[0]
    assert "nothing that was measured" in said[0]


def test_a_policy_that_has_settled_too_early_is_told_to_vary():
    said = watched(noisy(lambda share: 9, 1), level=475.0, entropy=lambda s: 0.7 * 0.01**s)[0]
    assert "hardly varies its actions" in said[0]
    assert "--set algorithm.entropy_weight=" in said[1]


def test_differential_entropy_is_not_taken_for_a_share():
    said = watched(
        noisy(lambda share: 9, 1),
        level=475.0,
        entropy=lambda share: 1.4 - 2 * share,
        acts=lambda rng, shape: rng.normal(size=(*shape, 1)).astype(np.float32),
    )[0]
    assert "entropy" not in said[0]


@dataclass(frozen=True)
class Bare:
    """The config of an algorithm that has none of the usual settings."""


@pytest.mark.parametrize("spread", [0, 1])
def test_an_algorithm_without_the_usual_settings_is_advised_on_others(spread):
    of = replace(experiment(), algorithm=Bare())
    said = watched(noisy(lambda share: 9, spread), level=475.0, of=of)[0]
    assert "--set session.slots=" in said[1]
    assert "algorithm." not in said[1]


@pytest.mark.parametrize("rises", [False, True])
def test_what_was_said_is_said_again_at_the_end_unless_the_returns_rose_since(rises):
    rng, flat = np.random.default_rng(0), FlatRun(experiment(), 475.0)
    while not flat.is_flat:
        flat.see([batch(rng.normal(9, 1, 2), rng)], {}, 1.0)
    said = flat.advice()
    for number in range(600):
        flat.see([batch(rng.normal(9 + 0.5 * number * rises, 1, 2), rng)], {}, 1.0)

    assert bool(flat.closing_advice()) is not rises
    assert said
