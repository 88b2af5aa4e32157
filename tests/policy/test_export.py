from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import onnx
import pytest

from tinyqueue.data.spaces import Array, Leaf, Space, stacked
from tinyqueue.distributions import Factored
from tinyqueue.errors import ConfigError
from tinyqueue.models.keras_import import import_keras
from tinyqueue.models.mlp import MlpConfig, build
from tinyqueue.models.network import Network, Output
from tinyqueue.models.registry import MODELS
from tinyqueue.policy.export import PolicyExport
from tinyqueue.policy.runner import INITIALIZERS_FROM_BYTES, PolicyRunner

SPACES: dict[str, Space] = {
    "box": {"": Leaf("float32", (4,))},
    "discrete": {"": Leaf("uint8", (), n=7)},
    "many": {"": Leaf("uint16", (), n=300)},
    "image": {"": Leaf("uint8", (6, 5, 2), low=0.0, high=255.0)},
    "dict": {
        "camera/left": Leaf("uint8", (3, 3), low=0.0, high=255.0),
        "place": Leaf("uint8", (), n=3),
        "two words": Leaf("float32", (2,)),
        "switches": Leaf("int8", (4,), n=2),
    },
}
ACTIONS = {"": Leaf("uint8", (), n=2)}
CONFIGS = {
    "separate": MlpConfig(),
    "shared": MlpConfig(shared=True, activation="relu"),
    "large": MlpConfig(hidden=(512, 512), activation="relu"),
    "linear": MlpConfig(hidden=()),
    "elu": MlpConfig(hidden=(16,), activation="elu"),
    "silu": MlpConfig(hidden=(16,), activation="silu"),
}


def sample(leaf: Leaf, slots: int, rng: np.random.Generator) -> Array:
    shape = (slots, *leaf.shape)
    if leaf.is_discrete:
        return rng.integers(0, leaf.n, shape).astype(leaf.dtype)
    if leaf.dtype == "uint8":
        return rng.integers(0, 256, shape).astype(np.uint8)
    return rng.normal(size=shape).astype(leaf.dtype)


def agree(model: Network, export: PolicyExport, runner: PolicyRunner, space: Space) -> None:
    observations = {p: sample(leaf, 9, np.random.default_rng(5)) for p, leaf in space.items()}
    outputs, _ = runner.run(observations, {})
    assert set(outputs) == {"logits"}
    expected = np.asarray(model.apply(observations)["logits"])
    assert 0.1 < np.abs(expected).max() < 50
    np.testing.assert_allclose(outputs["logits"], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("space", "config"),
    [(space, "separate") for space in SPACES] + [("box", config) for config in CONFIGS],
)
def test_onnx_gives_what_keras_gives(space: str, config: str) -> None:
    model = build(
        SPACES[space], ACTIONS, {"logits": Output(5), "value": Output(1)}, CONFIGS[config], 1
    )
    export = PolicyExport(model, ("logits",))
    assert export.sha256 == hashlib.sha256(export.graph).hexdigest()
    runner = PolicyRunner(export.graph, export.arrays(), 0)
    for variable in model.step.variables:  # Outputs of order 1, biases that are not zero.
        gain, shift = (50, 0.0) if variable.path == "logits/kernel" else (1, 0.01)
        variable.assign(variable.numpy() * gain + shift)
    agree(model, export, runner.with_weights(export.arrays(), 1), SPACES[space])


def test_outputs_of_several_actions_and_state_independent_ones_reach_players() -> None:
    # Given a network for an arm that turns and grips, one of whose outputs looks at nothing
    arm: Space = {"arm/turn": Leaf("float32", (2,)), "grip now": Leaf("uint8", (), n=3)}
    outputs = {
        name: Output(parameter.size, state_independent=parameter.state_independent)
        for name, parameter in Factored(arm).parameters.items()
    }
    model = build(SPACES["box"], arm, outputs | {"value": Output(1)}, MlpConfig(), 1)
    model.variables["log_std.2f.arm.2f.turn/value"].assign([-0.5, 1.5])
    export = PolicyExport(model, tuple(outputs))
    runner = PolicyRunner(export.graph, export.arrays(), 0)
    # When a player runs it in 9 slots
    observations = {"": sample(SPACES["box"][""], 9, np.random.default_rng(5))}
    said, _ = runner.run(observations, {})
    # Then it says what the learner's says, row by row
    assert {name: x.shape for name, x in said.items()} == {
        "mean/arm/turn": (9, 2),
        "log_std/arm/turn": (9, 2),
        "logits/grip now": (9, 3),
    }
    assert (said["log_std/arm/turn"] == np.array([-0.5, 1.5], np.float32)).all()
    expected = model.apply(observations)
    for name, rows in said.items():
        np.testing.assert_allclose(rows, np.asarray(expected[name]), atol=1e-6)
    # And with other weights, other ones
    model.variables["log_std.2f.arm.2f.turn/value"].assign([3.0, 4.0])
    said, _ = runner.with_weights(export.arrays(), 1).run(observations, {})
    assert (said["log_std/arm/turn"] == np.array([3.0, 4.0], np.float32)).all()


def test_the_graph_holds_no_weights_and_only_the_acting_half() -> None:
    model = build(
        SPACES["box"], ACTIONS, {"logits": Output(2), "value": Output(1)}, CONFIGS["large"], 0
    )
    export = PolicyExport(model, ("logits",))
    arrays = export.arrays()
    assert sorted(arrays) == [
        "logits/bias",
        "logits/kernel",
        "logits_hidden_0/bias",
        "logits_hidden_0/kernel",
        "logits_hidden_1/bias",
        "logits_hidden_1/kernel",
    ]
    assert {a.dtype for a in arrays.values()} == {np.dtype(np.float32)}
    assert sum(a.nbytes for a in arrays.values()) > INITIALIZERS_FROM_BYTES
    assert len(export.graph) < 10_000


def test_arrays_are_copies() -> None:
    model = build(SPACES["box"], ACTIONS, {"logits": Output(2), "value": Output(1)}, MlpConfig(), 0)
    export = PolicyExport(model, ("logits",))
    before = export.arrays()["logits/bias"]
    next(v for v in model.step.variables if v.path == "logits/bias").assign([1.0, 2.0])
    assert before.tolist() == [0.0, 0.0]
    assert export.arrays()["logits/bias"].tolist() == [1.0, 2.0]


def test_recurrent_state_goes_in_and_comes_out() -> None:
    # Given a model that counts: next state = state + Σ observation, logits = next state
    _, keras = import_keras()
    seen, state = keras.Input((2,), name="seen"), keras.Input((1,), name="before")
    seen.name, state.name = "", "state:count"
    after = keras.ops.sum(seen, axis=-1, keepdims=True) + state
    outputs = {"logits": keras.layers.Dense(2, name="logits")(after), "state:count": after}
    model = keras.Model({"": seen, "state:count": state}, outputs)
    export = PolicyExport(Network(model, {"": Leaf("float32", (2,))}), ("logits",))
    # When it runs twice on its own state
    runner = PolicyRunner(export.graph, export.arrays(), 0)
    assert runner.state_shapes == {"count": (1,)}
    observation = {"": np.array([[1, 2]], np.float32)}
    _, first = runner.run(observation, {"count": np.zeros((1, 1), np.float32)})
    assert first["count"].tolist() == [[3.0]]
    _, second = runner.run(observation, first)
    assert second["count"].tolist() == [[6.0]]


def test_an_output_that_the_model_lacks_is_named() -> None:
    model = build(
        SPACES["box"], ACTIONS, {"logits": Output(2), "value": Output(1)}, MlpConfig(hidden=(4,)), 0
    )
    with pytest.raises(ConfigError, match=r"no output q; it has logits, value"):
        PolicyExport(model, ("q",))


def test_an_operation_that_onnx_lacks_is_named() -> None:
    _, keras = import_keras()
    seen = keras.Input((2,), name="seen")
    seen.name = ""
    model = keras.Model({"": seen}, {"logits": keras.ops.gelu(seen, approximate=False)})
    with pytest.raises(ConfigError, match="cannot be exported for players: ONNX has no Erfc"):
        PolicyExport(Network(model, {"": Leaf("float32", (2,))}), ("logits",))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("nature", {}),
        ("shallow", {"previous": True, "core": "gru", "core_units": 32}),
        ("impala", {"core": "lstm", "core_units": 32}),
    ],
)
def test_players_compute_images_in_float32_whatever_they_are_trained_in(
    name: str, options: dict[str, Any], precision: str
) -> None:
    # Given a network for stacks of four frames, and its export
    space = stacked({"": Leaf("uint8", (84, 84), low=0.0, high=255.0)}, 4)
    entry = MODELS[name]

    def network(precision: str) -> Network:
        config = entry.config(precision=precision, **options)
        return entry.build(space, ACTIONS, {"q": Output(2, dueling=True)}, config, 1)

    trained = network(precision)
    export = PolicyExport(trained, ("q",))
    runner = PolicyRunner(export.graph, export.arrays(), 0)
    assert {a.dtype.name for a in export.arrays().values()} == {"float32"}
    # When players and learner look at the same
    observations = {"": sample(space[""], 5, np.random.default_rng(5))}
    previous = ({"": np.ones(5, np.uint8)}, np.ones(5, np.float32)) if runner.uses_previous else ()
    state = {path: np.zeros((5, *shape), np.float32) for path, shape in trained.state.items()}
    outputs, after = runner.run(observations, state, previous or None)
    # Then it is what the network says in float32, to rounding; in bfloat16 to eight bits
    for learner, tolerance in ((network("float32"), 1e-5), (trained, 0.05)):
        rows = {path: array[None] for path, array in observations.items()}
        before: list[Any] = [{"": previous[0][""][None]}, previous[1][None]] if previous else []
        said, states = learner.unroll(rows, state, np.zeros((1, 5), bool), *before)
        np.testing.assert_allclose(outputs["q"], np.asarray(said["q"])[0], atol=tolerance)
        assert set(after) == set(states)
        if precision == "float32" or learner is not trained:
            for path, array in after.items():
                np.testing.assert_allclose(array, np.asarray(states[path]), atol=1e-5)


def test_images_are_convolved_as_they_come_without_another_layout() -> None:
    space = stacked({"": Leaf("uint8", (84, 84), low=0.0, high=255.0)}, 4)
    network = MODELS["nature"].build(
        space, ACTIONS, {"q": Output(4)}, MODELS["nature"].config(dense=8), 0
    )
    nodes = onnx.load_from_string(PolicyExport(network, ("q",)).graph).graph.node
    # Only kernels are transposed, once when they are loaded, and what the dense layer flattens.
    transposed = [node.input[0] for node in nodes if node.op_type == "Transpose"]
    assert len(transposed) == 4
    first = next(node for node in nodes if node.op_type == "Conv")
    (cast,) = [node for node in nodes if first.input[0] in node.output]
    assert cast.op_type == "Cast"
    (source,) = [node for node in nodes if cast.input[0] in node.output]
    assert source.input[0] == "observation:"
