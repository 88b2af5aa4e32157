"""Acting tick by tick and training over rows are the same network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from tinyqueue.data.spaces import Array, Arrays, Leaf
from tinyqueue.errors import ConfigError
from tinyqueue.models.keras_import import import_keras
from tinyqueue.models.mlp import MlpConfig, build
from tinyqueue.models.network import Network, Output
from tinyqueue.policy.export import PolicyExport
from tinyqueue.policy.runner import PolicyRunner

TICKS, SLOTS = 12, 3
OBSERVATIONS = {"seen": Leaf("float32", (4,)), "room": Leaf("uint8", (), n=5)}
ACTIONS = {"": Leaf("uint8", (), n=3)}
OUTPUTS = {"logits": Output(3), "value": Output(1)}
CONFIGS = {
    "feed-forward": MlpConfig(hidden=(8,)),
    "feed-forward with previous": MlpConfig(hidden=(8,), previous=True),
    "lstm": MlpConfig(hidden=(8,), core="lstm", core_units=6),
    "lstm with previous": MlpConfig(hidden=(8,), core="lstm", core_units=6, previous=True),
    "gru": MlpConfig(hidden=(), core="gru", core_units=6),
    "gru with previous": MlpConfig(hidden=(8,), core="gru", core_units=6, previous=True),
}


def network_of(config: MlpConfig, outputs: dict[str, Output] = OUTPUTS, seed: int = 1) -> Network:
    network = build(OBSERVATIONS, ACTIONS, outputs, config, seed)
    rng = np.random.default_rng(7)
    for variable in network.variables.values():  # Outputs of order 1, biases that are not zero.
        variable.assign(variable.numpy() + rng.normal(0, 0.3, variable.shape))
    return network


def sequence(seed: int = 0) -> dict[str, Any]:
    """Rows with a start in the middle and at the beginning of single slots."""
    rng = np.random.default_rng(seed)
    starts = np.zeros((TICKS, SLOTS), bool)
    starts[0, 1] = starts[5, 0] = starts[6, 0] = starts[TICKS - 1, 2] = True
    actions = rng.integers(0, 3, (TICKS, SLOTS)).astype(np.uint8)
    rewards = rng.normal(size=(TICKS, SLOTS)).astype(np.float32)
    return {
        "observations": {
            "seen": rng.normal(size=(TICKS, SLOTS, 4)).astype(np.float32),
            "room": rng.integers(0, 5, (TICKS, SLOTS)).astype(np.uint8),
        },
        "starts": starts,
        "previous_actions": {"": np.where(starts, 0, actions).astype(np.uint8)},
        "previous_rewards": np.where(starts, 0, rewards).astype(np.float32),
    }


def state_of(network: Network) -> Arrays:
    rng = np.random.default_rng(3)
    return {
        path: rng.uniform(-0.5, 0.5, (SLOTS, *shape)).astype(np.float32)
        for path, shape in network.state.items()
    }


def unrolled(network: Network, rows: dict[str, Any], **changes: Any) -> tuple[Arrays, Arrays]:
    tf, _ = import_keras()
    outputs, state = tf.function(network.unroll, autograph=False)(
        state=state_of(network), **(rows | changes)
    )
    return (
        {name: x.numpy() for name, x in outputs.items()},
        {path: x.numpy() for path, x in state.items()},
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_a_player_and_the_learner_compute_the_same(name: str) -> None:
    # Given a network, what it is to see, and the acting half in ONNX
    network, rows = network_of(CONFIGS[name]), sequence()
    expected, last = unrolled(network, rows)
    export = PolicyExport(network, ("logits",))
    runner = PolicyRunner(export.graph, export.arrays(), 0)
    assert runner.state_shapes == dict(network.state)
    assert runner.uses_previous == network.uses_previous
    # When a player runs it tick by tick, with the state nought at every start
    state = state_of(network)
    for tick in range(TICKS):
        for values in state.values():
            values[rows["starts"][tick]] = 0
        before = {path: values[tick] for path, values in rows["previous_actions"].items()}
        previous = before, rows["previous_rewards"][tick]
        seen = {path: values[tick] for path, values in rows["observations"].items()}
        outputs, state = runner.run(seen, state, previous if network.uses_previous else None)
        # Then each tick's logits are those of the unrolled rows
        np.testing.assert_allclose(outputs["logits"], expected["logits"][tick], atol=1e-5)
    for path, values in state.items():
        np.testing.assert_allclose(values, last[path], atol=1e-5)
    assert expected["value"].shape == (TICKS, SLOTS)
    assert np.ptp(expected["logits"]) > 0.5


@pytest.mark.parametrize("core", ["lstm", "gru"])
def test_nothing_before_a_start_is_remembered_and_everything_after_it_is(core: Any) -> None:
    network, rows = network_of(MlpConfig(hidden=(8,), core=core, core_units=6)), sequence()
    expected, _ = unrolled(network, rows)
    # Given other observations in slot 0 at ticks 2 and 7; a start is at 6
    seen = rows["observations"]["seen"].copy()
    seen[[2, 7], 0] += 1
    after, _ = unrolled(network, rows, observations=rows["observations"] | {"seen": seen})
    changed = (after["logits"] != expected["logits"]).any(axis=2)
    assert changed[:, 0].tolist() == [tick in (2, 3, 4, 7, 8, 9, 10, 11) for tick in range(TICKS)]
    assert not changed[:, 1:].any()


def test_the_previous_action_and_reward_are_seen() -> None:
    network = network_of(CONFIGS["feed-forward with previous"])
    rows = sequence()
    expected, _ = unrolled(network, rows)
    other = (rows["previous_actions"][""] + 1) % 3
    acted, _ = unrolled(network, rows, previous_actions={"": other.astype(np.uint8)})
    given, _ = unrolled(network, rows, previous_rewards=rows["previous_rewards"] + 1)
    assert (acted["logits"] != expected["logits"]).all(axis=2).all()
    assert (given["logits"] != expected["logits"]).all(axis=2).all()
    # And a giant reward is no giant input
    giant, _ = unrolled(network, rows, previous_rewards=np.full((TICKS, SLOTS), 1e6, np.float32))
    assert np.abs(giant["logits"]).max() < 20


@pytest.mark.parametrize("name", ["feed-forward", "lstm", "gru"])
def test_other_variables_make_another_network_of_it(name: str) -> None:
    # Given two networks of one shape
    one, other, rows = network_of(CONFIGS[name]), network_of(CONFIGS[name], seed=2), sequence()
    other.variables["logits/bias"].assign([1, 2, 3])
    # When one is called with the variables of the other
    lent, _ = unrolled(one, rows, variables=other.variables)
    # Then it gives what the other does
    expected, _ = unrolled(other, rows)
    np.testing.assert_array_equal(lent["logits"], expected["logits"])
    own, _ = unrolled(one, rows)
    assert (own["logits"] != lent["logits"]).all()


def test_rows_without_time_are_those_with() -> None:
    network, rows = network_of(CONFIGS["feed-forward"]), sequence()
    expected, _ = unrolled(network, rows)
    flat = {path: x.reshape(-1, *x.shape[2:]) for path, x in rows["observations"].items()}
    np.testing.assert_allclose(
        network.apply(flat)["logits"], expected["logits"].reshape(-1, 3), atol=1e-6
    )
    lent = network.apply(flat, {path: v * 0 for path, v in network.variables.items()})
    assert not np.asarray(lent["logits"]).any()


@pytest.mark.parametrize("name", ["lstm", "feed-forward with previous"])
def test_a_network_that_looks_back_is_not_applied_to_single_steps(name: str) -> None:
    with pytest.raises(ConfigError, match=r"model\.core = 'none' and model\.previous = false"):
        network_of(CONFIGS[name]).apply({})


def test_gradients_reach_every_variable_through_time() -> None:
    tf, _ = import_keras()
    network, rows = network_of(CONFIGS["gru with previous"]), sequence()
    with tf.GradientTape() as tape:
        outputs, _ = network.unroll(state=state_of(network), **rows)
        loss = tf.reduce_sum(outputs["logits"][-1, 1]) + tf.reduce_sum(outputs["value"][-1, 1])
    gradients = tape.gradient(loss, list(network.trainable_variables.values()))
    assert all(np.abs(gradient.numpy()).max() > 0 for gradient in gradients)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("core", ["none", "lstm"])
def test_a_dueling_output_is_value_plus_centred_advantage(core: Any, shared: bool) -> None:
    # Given advantages that are the same for all actions, whatever they are
    config = MlpConfig(hidden=(8,), core=core, shared=shared)
    network = network_of(config, {"q": Output(3, dueling=True)})
    network.variables["q_advantage/kernel"].assign(np.ones((network_width(network), 3)))
    network.variables["q_advantage/bias"].assign([5.0, 6.0, 10.0])
    # Then only what is beyond their mean, 7, is left of them
    outputs, _ = unrolled(network, sequence())
    q = outputs["q"]
    assert list(outputs) == ["q"]
    value = q.mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(q - value, np.broadcast_to([-2.0, -1.0, 3.0], q.shape), atol=1e-4)
    assert np.ptp(value) > 0.1


def network_width(network: Network) -> int:
    return int(network.variables["q_advantage/kernel"].shape[0])


def test_the_streams_of_a_dueling_output_part_before_the_last_hidden_layer() -> None:
    network = network_of(MlpConfig(hidden=(8, 5)), {"q": Output(3, dueling=True)})
    shapes = {path: tuple(v.shape) for path, v in network.variables.items() if "kernel" in path}
    assert shapes == {
        "q_hidden_0/kernel": (9, 8),
        "q_value_hidden_0/kernel": (8, 5),
        "q_value/kernel": (5, 1),
        "q_advantage_hidden_0/kernel": (8, 5),
        "q_advantage/kernel": (5, 3),
    }


def test_state_shapes_follow_the_core() -> None:
    assert network_of(CONFIGS["feed-forward"]).state == {}
    assert network_of(CONFIGS["lstm"]).state == {"hidden": (6,), "cell": (6,)}
    assert network_of(CONFIGS["gru"]).state == {"hidden": (6,)}


@pytest.mark.parametrize("core", ["lstm", "gru"])
def test_the_seed_decides_the_weights_of_a_core(core: Any) -> None:
    def kernels(seed: int) -> list[Array]:
        config = MlpConfig(core=core, core_units=6)
        network = build(OBSERVATIONS, ACTIONS, OUTPUTS, config, seed)
        return [v.numpy() for path, v in network.variables.items() if "kernel" in path]

    assert all((a == b).all() for a, b in zip(kernels(3), kernels(3), strict=True))
    assert all((a != b).any() for a, b in zip(kernels(3), kernels(4), strict=True))


@pytest.mark.parametrize("core", ["none", "gru"])
def test_every_part_of_a_previous_action_is_seen(core: Any) -> None:
    # Given an arm that turns by two numbers and grips or not, beside three switches
    arm = {
        "arm/turn": Leaf("float32", (2,), low=-1.0, high=1.0),
        "arm/grip": Leaf("uint8", (), n=2),
        "switches": Leaf("uint8", (3,), n=4, nvec=(2, 4, 3)),
    }
    config = MlpConfig(hidden=(8,), core=core, core_units=6, previous=True)
    network = build(OBSERVATIONS, arm, OUTPUTS, config, 0)
    assert {"previous:action/arm/turn", "previous:action/switches"} < set(network.step.input)
    rng = np.random.default_rng(4)
    actions: Arrays = {
        "arm/turn": rng.normal(size=(TICKS, SLOTS, 2)).astype(np.float32),
        "arm/grip": rng.integers(0, 2, (TICKS, SLOTS)).astype(np.uint8),
        "switches": rng.integers(0, 2, (TICKS, SLOTS, 3)).astype(np.uint8),
    }
    rows = sequence() | {"previous_actions": actions}
    expected, _ = unrolled(network, rows)
    # Then another value of each makes another output
    for path, values in actions.items():
        other = actions | {path: (1 - values).astype(values.dtype)}
        changed, _ = unrolled(network, rows, previous_actions=other)
        assert (changed["value"] != expected["value"]).all()


@pytest.mark.parametrize(
    "config",
    [
        MlpConfig(hidden=(8,)),
        MlpConfig(hidden=(8,), shared=True),
        MlpConfig(hidden=(8,), core="lstm", core_units=6),
    ],
    ids=["towers", "shared", "lstm"],
)
def test_a_state_independent_output_is_one_variable_in_every_row(config: MlpConfig) -> None:
    tf, _ = import_keras()
    outputs = {
        "mean": Output(2),
        "log_std": Output(2, state_independent=True),
        "value": Output(1),
    }
    network, rows = build(OBSERVATIONS, ACTIONS, outputs, config, 1), sequence()
    # Given its start at 0, and then other values
    assert not unrolled(network, rows)[0]["log_std"].any()
    network.variables["log_std/value"].assign([-0.5, 1.5])
    # Then every row has them, and the gradient is that of all rows
    with tf.GradientTape() as tape:
        said, _ = network.unroll(state=state_of(network), **rows)
        total = tf.reduce_sum(said["log_std"])
    assert said["log_std"].shape == (TICKS, SLOTS, 2)
    assert (said["log_std"].numpy() == np.array([-0.5, 1.5], np.float32)).all()
    gradient = tape.gradient(total, network.trainable_variables["log_std/value"])
    assert gradient.numpy().tolist() == [TICKS * SLOTS] * 2
    assert not any(path.startswith("log_std_hidden") for path in network.variables)


def test_a_tower_of_its_own_for_the_value_and_a_core_are_refused() -> None:
    with pytest.raises(ValidationError, match="value_hidden"):
        TypeAdapter(MlpConfig).validate_python({"core": "lstm", "value_hidden": (8,)})
