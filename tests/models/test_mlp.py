from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from tinyqueue.data.spaces import Leaf
from tinyqueue.models.layers import layer_name
from tinyqueue.models.mlp import MlpConfig, build
from tinyqueue.models.network import Network, Output

PLAIN = {"": Leaf("float32", (4,))}
ACTIONS = {"": Leaf("uint8", (), n=2)}
LOGITS_2 = {"logits": Output(2), "value": Output(1)}
LOGITS_3 = {"logits": Output(3), "value": Output(1)}
MIXED = {
    "place": Leaf("uint8", (), n=3),
    "camera/left": Leaf("uint8", (2, 2), low=0.0, high=255.0),
    "two words": Leaf("int64", (2,), n=2),
}


def call(network: Network, observations: dict[str, object]) -> dict[str, np.ndarray]:
    return {k: np.asarray(v) for k, v in network.apply(observations).items()}


def test_logits_are_rows_and_the_value_is_one_number_per_row() -> None:
    model = build(PLAIN, ACTIONS, LOGITS_3, MlpConfig(), 0)
    outputs = call(model, {"": np.ones((5, 4), np.float32)})
    assert {name: x.shape for name, x in outputs.items()} == {"logits": (5, 3), "value": (5,)}
    assert {x.dtype for x in outputs.values()} == {np.dtype(np.float32)}


def test_towers_are_separate_unless_shared() -> None:
    separate = build(PLAIN, ACTIONS, LOGITS_3, MlpConfig(hidden=(8,)), 0)
    shared = build(PLAIN, ACTIONS, LOGITS_3, MlpConfig(hidden=(8,), shared=True), 0)
    # 4·8+8 per tower, 8·3+3 and 8+1 for the heads
    assert separate.step.count_params() == 40 + 40 + 27 + 9
    assert shared.step.count_params() == 40 + 27 + 9


def test_all_that_a_policy_is_made_of_stands_on_one_tower() -> None:
    outputs = {"mean/left arm": Output(2), "logits/grip": Output(3), "value": Output(1)}
    model = build(PLAIN, ACTIONS, outputs, MlpConfig(hidden=(8,)), 0)
    shapes = {v.path: tuple(v.shape) for v in model.step.variables if "kernel" in v.path}
    assert shapes == {
        "mean.2f.left.20.arm_hidden_0/kernel": (4, 8),
        "mean.2f.left.20.arm/kernel": (8, 2),
        "logits.2f.grip/kernel": (8, 3),
        "value_hidden_0/kernel": (4, 8),
        "value/kernel": (8, 1),
    }
    kernels = {v.path: v.numpy() for v in model.step.variables}
    for name in ("mean.2f.left.20.arm", "logits.2f.grip"):
        assert np.linalg.norm(kernels[f"{name}/kernel"], 2) == pytest.approx(0.01, rel=1e-4)


@pytest.mark.parametrize("pair", [("a/b", "a b"), ("a/b", "a.2f.b"), ("ä", "a"), (".2f.", "/")])
def test_layers_of_different_outputs_have_different_names(pair: tuple[str, str]) -> None:
    first, second = map(layer_name, pair)
    assert first != second
    assert "/" not in first + second


def test_the_value_tower_may_have_its_own_layers() -> None:
    config = MlpConfig(hidden=(8,), value_hidden=(5, 6))
    model = build(PLAIN, ACTIONS, LOGITS_2, config, 0)
    shapes = {v.path: tuple(v.shape) for v in model.step.variables if "kernel" in v.path}
    assert shapes == {
        "logits_hidden_0/kernel": (4, 8),
        "logits/kernel": (8, 2),
        "value_hidden_0/kernel": (4, 5),
        "value_hidden_1/kernel": (5, 6),
        "value/kernel": (6, 1),
    }


def test_a_shared_torso_with_a_tower_of_its_own_for_the_value_is_refused() -> None:
    with pytest.raises(ValidationError, match="value_hidden"):
        TypeAdapter(MlpConfig).validate_python({"shared": True, "value_hidden": (8,)})


def test_initial_weights_are_orthogonal_with_the_gains_of_their_place() -> None:
    model = build(PLAIN, ACTIONS, LOGITS_2, MlpConfig(hidden=(64, 64)), 0)
    kernels = {v.path: v.numpy() for v in model.step.variables}
    hidden = kernels["logits_hidden_1/kernel"]
    np.testing.assert_allclose(hidden.T @ hidden, 2 * np.eye(64), atol=1e-4)
    logits = kernels["logits/kernel"]
    np.testing.assert_allclose(logits.T @ logits, 1e-4 * np.eye(2), atol=1e-8)
    assert np.linalg.norm(kernels["value/kernel"]) == pytest.approx(1.0, abs=1e-5)


def test_the_seed_decides_the_weights() -> None:
    def weights(seed: int) -> list[np.ndarray]:
        model = build(PLAIN, ACTIONS, LOGITS_2, MlpConfig(), seed)
        return [v.numpy() for v in model.step.variables]

    for first, again in zip(weights(3), weights(3), strict=True):
        np.testing.assert_array_equal(first, again)
    assert abs(weights(3)[0] - weights(4)[0]).max() > 0.01


def test_leaves_become_one_hot_scaled_and_concatenated_in_the_order_of_the_space() -> None:
    # Given a network without hidden layers whose weights are 0, 1, 2, …
    model = build(MIXED, ACTIONS, {"q": Output(1)}, MlpConfig(hidden=()), 0)
    kernel = next(v for v in model.step.variables if v.path == "q/kernel")
    assert tuple(kernel.shape) == (3 + 4 + 2 * 2, 1)
    kernel.assign(np.arange(11, dtype=np.float32)[:, None])
    # When it sees place 2, one white pixel at index 1, and (0, 1)
    outputs = call(
        model,
        {
            "place": np.array([2], np.uint8),
            "camera/left": np.array([[[0, 255], [0, 51]]], np.uint8),
            "two words": np.array([[0, 1]], np.int64),
        },
    )
    # Then 2 + 1·(3+1) + 0.2·(3+3) + (7+0) + (9+1)
    assert outputs["q"][0, 0] == pytest.approx(2 + 4 + 0.2 * 6 + 7 + 10, abs=1e-5)


def test_a_state_of_five_hundred_is_seen_as_one_hot() -> None:
    states = {"": Leaf("uint16", (), n=500)}
    model = build(states, ACTIONS, LOGITS_2, MlpConfig(hidden=()), 0)
    kernel = next(v for v in model.variables.values() if v.shape == (500, 2))
    seen = call(model, {"": np.array([0, 499], np.uint16)})["logits"]
    np.testing.assert_allclose(seen, np.asarray(kernel)[[0, 499]], rtol=1e-6)


def test_a_million_states_are_told_apart_by_twenty_columns() -> None:
    states = {"": Leaf("uint32", (), n=1_000_000)}
    model = build(states, ACTIONS, LOGITS_2, MlpConfig(hidden=()), 0)
    (kernel,) = (np.asarray(v) for v in model.variables.values() if v.shape == (20, 2))
    seen = call(model, {"": np.array([0, 1, 2, 999_999], np.uint32)})["logits"]
    digits = [[number >> place & 1 for place in range(20)] for number in (0, 1, 2, 999_999)]
    np.testing.assert_allclose(seen, np.array(digits, np.float32) @ kernel, rtol=1e-5, atol=1e-6)
