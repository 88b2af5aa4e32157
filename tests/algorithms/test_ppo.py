from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from stream_batches import (
    ACTIONS,
    LOOKING_BACK,
    OBSERVATIONS,
    PUSHES,
    SLOTS,
    TICKS,
    Shared,
    assert_equal,
    differ,
    network_of,
    played,
    random_batch,
    rows,
    weights,
)

from tinyqueue.algorithms import ppo as ppo_module
from tinyqueue.algorithms.base import LossNotFiniteError
from tinyqueue.algorithms.epochs import Epochs
from tinyqueue.algorithms.optimisers import make_optimiser
from tinyqueue.algorithms.ppo import (
    METRICS,
    Minibatch,
    Ppo,
    PpoConfig,
    gae,
    ppo_loss,
)
from tinyqueue.algorithms.returns import Estimates
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Arrays
from tinyqueue.distributions import Factored
from tinyqueue.errors import ConfigError
from tinyqueue.models.mlp import MlpConfig, build
from tinyqueue.models.network import Network
from tinyqueue.policy.heads import LOG_PROB

MODELS = {**LOOKING_BACK, "plain": MlpConfig(hidden=(8,))}


def new_algorithm(config: PpoConfig | None, seed: int) -> Ppo:
    outputs = Ppo.outputs(ACTIONS, PpoConfig())
    model = build(OBSERVATIONS, ACTIONS, outputs, MlpConfig(hidden=(8,)), seed)
    return Ppo(config or PpoConfig(minibatches=2), model, ACTIONS)


algorithm = Shared(new_algorithm)


@pytest.fixture(autouse=True)
def given_again() -> None:
    algorithm.test_begins()


@pytest.mark.parametrize(("count", "epochs", "minibatches"), [(8, 3, 4), (6, 5, 1), (4, 1, 4)])
def test_everything_is_taken_once_an_epoch(count: int, epochs: int, minibatches: int) -> None:
    order = Epochs(epochs, minibatches).order(count, 7, seed=1)
    assert order.shape == (epochs * minibatches, count // minibatches)
    for epoch in order.reshape(epochs, count):
        assert sorted(epoch.tolist()) == list(range(count))
    assert Counter(order.ravel().tolist()) == dict.fromkeys(range(count), epochs)


def test_the_order_is_another_in_every_epoch_and_at_every_time() -> None:
    epochs = Epochs(2, 4)
    orders = np.concatenate([epochs.order(32, steps, 1).reshape(2, 32) for steps in (0, 100)])
    assert len({tuple(order) for order in orders.tolist()}) == 4
    assert (epochs.order(32, 100, 1) == orders[2:].reshape(8, 8)).all()


def test_minibatches_that_do_not_divide_the_env_steps_are_refused() -> None:
    trained = algorithm(PpoConfig(minibatches=3))
    with pytest.raises(ConfigError, match="does not divide the 20 env steps"):
        trained.update([random_batch()], 0)
    with pytest.raises(ConfigError, match="does not divide the 40 env steps"):
        trained.prepare(5, 8)


def test_with_a_memory_minibatches_must_divide_the_slots() -> None:
    config = PpoConfig(minibatches=5)
    Ppo.check(config, TICKS, SLOTS)
    Ppo(config, network_of(MODELS["plain"]), PUSHES).prepare(TICKS, SLOTS)
    with pytest.raises(ConfigError, match=f"does not divide the {SLOTS} slots"):
        Ppo(config, network_of(MODELS["lstm"]), PUSHES).prepare(TICKS, SLOTS)


def step_by_step(config: PpoConfig, network: Network, batch: SessionBatch, steps: int) -> None:
    """An update at so many env steps as a plain loop, without a graph."""
    import tensorflow as tf

    optimiser = make_optimiser("adam", dict(network.trainable_variables), config.epsilon)
    variables = list(network.trainable_variables.values())
    starts = np.concatenate([np.zeros_like(batch.valid[:1]), ~batch.valid])

    def outputs() -> tuple[Any, Any]:
        acted, rewarded = (
            np.concatenate([batch.carry[name][None], np.where(batch.valid, rest, 0)])
            for name, rest in (
                ("previous_action", batch.actions[""]),
                ("previous_reward", batch.rewards),
            )
        )
        state = {path: batch.carry[f"state/{path}"] for path in network.state}
        seen = {"": tf.constant(batch.observations[""])}
        made, _ = network.unroll(seen, state, starts, {"": acted}, rewarded)
        return made["logits"], made["value"]

    def part(whole: Any, places: Any) -> Any:
        """Whole slots of a recurrent network, else ticks from anywhere, slot after slot in time."""
        whole = tf.convert_to_tensor(whole)
        if not network.state:
            whole = tf.reshape(whole, [1, -1, *whole.shape[2:]])
        return tf.gather(whole, places, axis=1)

    _, before = outputs()
    estimates = gae(
        log_rhos=np.zeros_like(batch.rewards),
        rewards=batch.rewards,
        values=before,
        terminated=batch.terminated,
        valid=batch.valid,
        gamma=config.gamma,
        lambda_=config.lambda_,
    )
    count = batch.slots if network.state else batch.valid.size
    for places in Epochs(config.epochs, config.minibatches).order(count, steps, 0):
        with tf.GradientTape() as tape:
            logits, values = outputs()
            loss, _ = ppo_loss(
                config,
                np.float32(config.clip),
                Factored(PUSHES),
                {"logits": part(logits[:-1], places)},
                part(values[:-1], places),
                Minibatch(
                    rows(
                        part(batch.actions[""], places),
                        part(batch.extras[LOG_PROB], places),
                        part(batch.valid, places),
                    ),
                    Estimates(*(part(x, places) for x in estimates)),
                    part(np.asarray(before)[:-1], places),
                ),
            )
        cut, _ = tf.clip_by_global_norm(tape.gradient(loss, variables), config.max_grad_norm)
        optimiser.apply(cut, tf.constant(config.learning_rate))


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_an_update_is_the_loop_of_its_steps(model: MlpConfig) -> None:
    # Given two equal networks, and a stale batch in which episodes end
    config = PpoConfig(epochs=3, minibatches=3, learning_rate=0.003, value_clip=0.1)
    network, other = network_of(model), network_of(model)
    batch = played(network, 2)[1]
    assert not batch.valid.all()
    batch = replace(batch, extras={LOG_PROB: batch.extras[LOG_PROB] + np.float32(0.15)})
    before = network_weights(network)
    # When one is updated in one graph and the other step by step
    Ppo(config, network, PUSHES).update([batch], 40)
    step_by_step(config, other, batch, 40)
    # Then they are equal again
    for path, expected in network_weights(other).items():
        np.testing.assert_allclose(network_weights(network)[path], expected, atol=2e-5)
    assert max(abs(network_weights(other)[path] - before[path]).max() for path in before) > 0.01


def network_weights(network: Network) -> Arrays:
    return {path: variable.numpy() for path, variable in network.variables.items()}


@pytest.mark.slow
@pytest.mark.parametrize("model", LOOKING_BACK.values(), ids=LOOKING_BACK)
def test_every_minibatch_has_the_memory_of_its_slots(model: MlpConfig) -> None:
    # Given batches of the network itself, which does not change
    network = network_of(model)
    batches = played(network, 4)
    config = PpoConfig(learning_rate=0.0, epochs=2, minibatches=SLOTS)
    trained = Ppo(config, network, PUSHES)
    # Then no ratio is another than 1, in minibatches of a slot of one batch, or of several
    for given in (batches[1:2], batches):
        metrics = trained.update(given, 0).metrics
        assert metrics["approx_kl"] < 1e-9
        assert metrics["mean_rho"] == pytest.approx(1, abs=1e-5)
        assert metrics["clip_fraction"] == 0
    # … unless it is forgotten what came before the batch
    carry = {
        name: values if name == "episode_steps" else np.zeros_like(values)
        for name, values in batches[1].carry.items()
    }
    assert trained.update([replace(batches[1], carry=carry)], 0).metrics["approx_kl"] > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("advantages", ["gae", "vtrace"])
def test_what_stands_at_an_invalid_tick_changes_nothing(advantages: Any) -> None:
    config = PpoConfig(minibatches=2, advantages=advantages)
    batch = random_batch()
    other = replace(
        batch,
        actions={"": np.where(batch.valid, batch.actions[""], 2 - batch.actions[""]).astype("u1")},
        rewards=np.where(batch.valid, batch.rewards, 99).astype(np.float32),
        extras={LOG_PROB: np.where(batch.valid, batch.extras[LOG_PROB], -3).astype(np.float32)},
    )
    one, two = algorithm(config), algorithm(config)
    assert one.update([batch], 0) == two.update([other], 0)
    assert_equal(one.state(), two.state())


@pytest.mark.slow
def test_the_vtrace_switch_changes_stale_batches_and_no_others() -> None:
    def learned(batch: SessionBatch, advantages: Any) -> Arrays:
        trained = Ppo(PpoConfig(minibatches=2, advantages=advantages), network_of(model), PUSHES)
        trained.update([batch], 0)
        return weights(trained)

    model = MlpConfig(hidden=(8,))
    fresh = played(network_of(model), 1)[0]
    stale = replace(fresh, extras={LOG_PROB: fresh.extras[LOG_PROB] + np.float32(0.7)})
    one, other = learned(fresh, "gae"), learned(fresh, "vtrace")
    for path in one:
        np.testing.assert_allclose(one[path], other[path], atol=1e-6)
    one, other = learned(stale, "gae"), learned(stale, "vtrace")
    assert max(abs(one[path] - other[path]).max() for path in one) > 1e-5


@pytest.mark.parametrize("log_mu", [-80.0, -1e30, 0.0])
def test_however_stale_a_batch_is_it_can_be_learned_from(log_mu: float) -> None:
    batch = random_batch()
    batch.extras[LOG_PROB][:] = log_mu
    trained = algorithm()
    metrics = trained.update([batch], 0).metrics
    assert all(np.isfinite(list(metrics.values())))
    assert np.isfinite(trained.update([random_batch(1)], 20).metrics["loss"])


def test_rewards_are_clipped_and_then_scaled() -> None:
    batch = random_batch()
    by_hand = replace(batch, rewards=np.clip(batch.rewards, -0.5, 0.5) * np.float32(3))
    one = algorithm(PpoConfig(minibatches=2, reward_clip=0.5, reward_scale=3.0))
    two = algorithm()
    one.update([batch], 0)
    two.update([by_hand], 0)
    assert_equal(weights(one), weights(two))


def test_learning_rate_and_clip_follow_the_clock() -> None:
    config = PpoConfig(
        minibatches=1, epochs=1, learning_rate=1.0, clip=0.4, clip_end=0.0, anneal_steps=100
    )

    trained = algorithm(config)
    first = trained.state()

    def metrics(env_steps: int) -> dict[str, float]:
        trained.restore(first)
        return trained.update([random_batch()], env_steps).metrics

    at = {steps: metrics(steps) for steps in (0, 50, 90, 100, 900)}
    rates = [at[steps]["learning_rate"] for steps in (0, 50, 100, 900)]
    assert rates == [1.0, 0.5, 0.0, 0.0]
    cut = [at[steps]["clip_fraction"] for steps in (0, 90, 100)]
    assert cut[0] < cut[1] <= cut[2] == 1.0
    # Without an end of its own, the clip stays
    still = replace(config, clip_end=None)
    assert algorithm(still).update([random_batch()], 100).metrics["clip_fraction"] == cut[0]


def test_metrics_are_means_over_the_minibatches() -> None:
    # Given minibatches with as many valid ticks each, and weights that stay
    config = PpoConfig(minibatches=4, epochs=2, learning_rate=0.0, normalise_advantages=False)
    batch = random_batch()
    batch = replace(
        batch,
        valid=np.ones_like(batch.valid),
        terminated=np.zeros_like(batch.valid),
        truncated=np.zeros_like(batch.valid),
    )
    many = algorithm(config).update([batch], 0).metrics
    # Then sums over ticks come to the same as in one minibatch of all
    one = algorithm(replace(config, minibatches=1, epochs=1)).update([batch], 0).metrics
    for name in ("loss", "policy_loss", "value_loss", "entropy", "mean_rho", "approx_kl"):
        assert many[name] == pytest.approx(one[name], rel=1e-4, abs=1e-6)
    assert set(many) == {*METRICS, "learning_rate"}


@pytest.mark.parametrize("optimiser", ["adam", "rmsprop"])
def test_a_step_that_is_not_finite_takes_the_steps_before_it_back(optimiser: Any) -> None:
    # Given a tick that is bad, and that comes second in the first epoch
    config = PpoConfig(minibatches=4, epochs=2, optimiser=optimiser)
    batch = random_batch()
    ticks, slots = batch.valid.shape
    places = Epochs(2, 4).order(ticks * slots, 20, seed=0)
    bad_place = next(place for place in places[1] if batch.valid.ravel()[place])
    bad = replace(batch, observations={"": batch.observations[""].copy()})
    bad.observations[""][divmod(int(bad_place), slots)] = np.nan
    trained = algorithm(config)
    trained.update([random_batch(1)], 0)
    started = trained.state()
    with pytest.raises(LossNotFiniteError, match="step 2 of 8 of the update at 20 env steps was n"):
        trained.update([bad], 20)
    # Then nothing has changed, although the first step did not see it
    assert_equal(started, trained.state())
    # … and it can go on
    assert np.isfinite(trained.update([random_batch(2)], 40).metrics["loss"])
    assert differ(started, trained.state())


@pytest.mark.slow
@pytest.mark.parametrize("optimiser", ["adam", "rmsprop"])
def test_a_restored_algorithm_goes_on_bit_for_bit(optimiser: Any) -> None:
    config = PpoConfig(minibatches=2, optimiser=optimiser)
    one, two = algorithm(config), algorithm(config, seed=9)
    for n in range(3):
        one.update([random_batch(n)], 20 * n)
    two.restore(one.state())
    for n in range(3, 5):
        assert one.update([random_batch(n)], 20 * n) == two.update([random_batch(n)], 20 * n)
    assert_equal(one.state(), two.state())


@pytest.mark.slow
@pytest.mark.parametrize("model", ["plain", "lstm"])
def test_preparing_changes_nothing_but_the_time_of_the_first_update(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made() -> Ppo:
        return Ppo(PpoConfig(minibatches=2), network_of(MODELS[model]), PUSHES)

    # Given one that was prepared and one that was not
    prepared, unprepared = made(), made()
    batch = played(network_of(MODELS[model]), 1)[0]
    expected = unprepared.update([batch], 0)
    before = prepared.state()
    prepared.prepare(TICKS, SLOTS)
    assert_equal(before, prepared.state())
    # When its graph may not be built again, then it updates all the same, and equally
    monkeypatch.setattr(ppo_module, "ppo_loss", None)
    assert prepared.update([batch], 0) == expected
    assert_equal(prepared.state(), unprepared.state())
