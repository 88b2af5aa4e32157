"""Images, vectors and discrete values in one network: its layers, its sight, and its graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinyqueue.data.spaces import Array, Leaf, Space, stacked
from tinyqueue.errors import ConfigError
from tinyqueue.models.network import Network, Output
from tinyqueue.models.registry import MODELS
from tinyqueue.policy.export import PolicyExport
from tinyqueue.policy.runner import PolicyRunner

SENSES: Space = {
    "camera": Leaf("uint8", (10, 10, 3), low=0.0, high=255.0),
    "arm": Leaf("float32", (6,)),
    "speed": Leaf("int16", (2,), low=-100.0, high=100.0),
    "task": Leaf("uint8", (), n=5),
    "room": Leaf("uint16", (), n=500),
}
ACTIONS: Space = {"": Leaf("uint8", (), n=4)}
ACTOR_CRITIC = {"logits": Output(4), "value": Output(1)}
Q = {"q": Output(4)}


def built(outputs: dict[str, Output], observations: Space = SENSES, **options: Any) -> Network:
    entry = MODELS["multi-input"]
    config = entry.config(precision="float32", **options)
    return entry.build(observations, ACTIONS, outputs, config, 3)


def kernels(network: Network) -> dict[str, tuple[int, ...]]:
    return {v.path: tuple(v.shape) for v in network.step.variables if v.path.endswith("kernel")}


def seen_in(space: Space, rows: int, seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    seen: dict[str, Array] = {}
    for path, leaf in space.items():
        low, high = (0, leaf.n - 1) if leaf.n else (leaf.low or 0, leaf.high or 1)
        values = rng.uniform(low, high, (rows, *leaf.shape))
        is_float = leaf.dtype.startswith("float")
        seen[path] = (values if is_float else np.rint(values)).astype(leaf.dtype)
    return seen


def test_every_kind_of_leaf_has_its_own_torso():
    assert kernels(built(ACTOR_CRITIC)) == {
        "image_camera_convolution_0/kernel": (3, 3, 3, 16),
        "image_camera_dense/kernel": (8 * 8 * 16, 256),
        "vector_0/kernel": (6 + 2, 64),
        "embedding_room/kernel": (500, 32),
        "hidden_0/kernel": (256 + 64 + 5 + 32, 256),
        "logits/kernel": (256, 4),
        "value/kernel": (256, 1),
    }


def test_two_images_have_convolutions_of_their_own_by_their_sizes():
    space = {
        "left": Leaf("uint8", (36, 40, 3), low=0.0, high=255.0),
        "right": Leaf("float32", (1, 35, 35), low=0.0, high=1.0),
    }
    found = kernels(built(Q, space))

    assert found["image_left_convolution_0/kernel"] == (8, 8, 3, 32)
    assert found["image_left_convolution_2/kernel"] == (3, 3, 64, 64)
    assert found["image_right_convolution_0/kernel"] == (4, 4, 1, 32)
    assert found["image_right_dense/kernel"] == (7 * 7 * 64, 256)


@pytest.mark.parametrize("path", SENSES)
def test_every_leaf_matters(path: str):
    network = built(Q)
    seen, other = seen_in(SENSES, 8), seen_in(SENSES, 8, seed=1)
    differ = (seen[path] != other[path]).reshape(8, -1).any(axis=1)

    before = np.asarray(network.apply(seen)["q"])
    after = np.asarray(network.apply(seen | {path: other[path]})["q"])

    changed = np.abs(before - after).max(axis=1) > 1e-4
    assert differ.sum() >= 5
    np.testing.assert_array_equal(changed, differ)


def test_only_images_are_divided_by_255():
    """A vector of bytes from 0 to 10 is scaled by its own bounds, and floats are not at all."""
    space = {
        "camera": Leaf("uint8", (3, 3), low=0.0, high=255.0),
        "health": Leaf("uint8", (1,), low=0.0, high=10.0),
        "height": Leaf("float32", (1,), low=0.0, high=255.0),
    }
    network = built(Q, space, vector_units=(), hidden=())
    head = next(v for v in network.step.variables if v.path == "q/kernel")
    head.assign(np.concatenate([np.zeros((256, 4)), np.eye(2, 4)]).astype(np.float32))
    seen = {
        "camera": np.full((1, 3, 3), 255, np.uint8),
        "health": np.array([[5]], np.uint8),
        "height": np.array([[200.0]], np.float32),
    }

    np.testing.assert_allclose(network.apply(seen)["q"], [[0.5, 200.0, 0.0, 0.0]])


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_channels_first_and_last_are_the_same_image(dtype: str):
    high = 255.0 if dtype == "uint8" else 1.0
    last = {"": Leaf(dtype, (12, 14, 3), low=0.0, high=high)}
    first = {"": Leaf(dtype, (3, 12, 14), low=0.0, high=high)}
    seen = seen_in(last, 4)[""]

    expected = built(Q, last).apply({"": seen})["q"]
    found = built(Q, first).apply({"": np.moveaxis(seen, 3, 1)})["q"]

    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_bytes_and_the_floats_that_they_stand_for_are_the_same_image():
    bytes_ = {"": Leaf("uint8", (40, 40, 4), low=0.0, high=255.0)}
    floats = {"": Leaf("float32", (40, 40, 4), low=0.0, high=1.0)}
    seen = seen_in(bytes_, 2)[""]

    # `apply` is the graph of training, in which frames are moved in blocks.
    expected = built(Q, bytes_).apply({"": seen})["q"]
    found = built(Q, floats).apply({"": seen.astype(np.float32) / 255})["q"]

    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [(1, 7), (3, 3), (3, 3, 1), (11, 11, 3), (12, 12), (35, 35), (36, 36), (84, 84, 1), (2, 3, 50)],
)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_any_size_is_played_as_it_is_trained(shape: tuple[int, ...], dtype: str):
    space = {"": Leaf(dtype, shape, low=0.0, high=255.0)}
    network = built(ACTOR_CRITIC, space, image_units=16, hidden=(16,))
    export = PolicyExport(network, ("logits",))
    runner = PolicyRunner(export.graph, export.arrays(), 1)
    seen = seen_in(space, 3)

    trained = np.asarray(network.apply(seen)["logits"])

    played = runner.run(seen, {})[0]["logits"]
    np.testing.assert_allclose(played, trained, rtol=1e-4, atol=1e-5)
    assert np.abs(trained[0] - trained[1]).max() > 1e-7


@pytest.mark.slow
@pytest.mark.parametrize("core", ["lstm", "gru"])
@pytest.mark.parametrize("stack", [1, 2])
def test_with_a_core_it_is_unrolled_and_exported(core: str, stack: int):
    space = stacked(SENSES, stack)
    network = built({"q": Output(4, dueling=True)}, space, core=core, core_units=8, previous=True)
    flat = seen_in(space, 6)
    seen = {path: x.reshape(3, 2, *x.shape[1:]) for path, x in flat.items()}
    state = {path: np.zeros((2, *shape), np.float32) for path, shape in network.state.items()}
    acted, rewarded = np.ones((3, 2), np.uint8), np.ones((3, 2), np.float32)

    outputs, after = network.unroll(seen, state, np.zeros((3, 2), bool), {"": acted}, rewarded)

    assert outputs["q"].shape == (3, 2, 4)
    assert set(after) == ({"hidden", "cell"} if core == "lstm" else {"hidden"})
    # An earlier task is remembered.
    seen["task"] = seen["task"].copy()
    seen["task"][0] = (seen["task"][0] + 1) % 5
    other, _ = network.unroll(seen, state, np.zeros((3, 2), bool), {"": acted}, rewarded)
    assert np.abs(other["q"][-1] - outputs["q"][-1]).max() > 1e-7
    assert PolicyExport(network, ("q",)).graph


def test_streams_of_a_dueling_output_begin_at_the_joined_features():
    found = kernels(built({"q": Output(4, dueling=True)}, hidden=(32, 16)))

    assert found["hidden_0/kernel"] == (357, 32)
    assert found["q_value_hidden_0/kernel"] == (32, 16)
    assert "hidden_1/kernel" not in found


def test_observations_without_an_image_are_allowed():
    assert built(Q, {"": Leaf("float32", (4,))}).apply({"": np.ones((2, 4), np.float32)})


@pytest.mark.parametrize("n", [2**31 - 1, 2**31 + 3, 2**32 + 3, 2**40])
def test_more_values_than_fit_in_32_bits_are_told_apart_where_they_are_played(n: int):
    space = {"": Leaf("int64", (), n=n)}
    network = built(ACTOR_CRITIC, space)
    export = PolicyExport(network, ("logits",))
    runner = PolicyRunner(export.graph, export.arrays(), 1)
    seen = {"": np.array([0, 1, n // 2, n - 2, n - 1], np.int64)}

    trained = np.asarray(network.apply(seen)["logits"])

    np.testing.assert_allclose(runner.run(seen, {})[0]["logits"], trained, rtol=1e-4, atol=1e-5)
    assert len({row.tobytes() for row in trained}) == 5


def test_convolutions_of_ones_choice_refuse_an_image_that_is_too_small():
    with pytest.raises(ConfigError, match=r"36 × 36 pixels or more.*10 × 10"):
        built(Q, convolutions="nature")


def test_impalas_convolutions_are_for_any_size():
    found = kernels(built(Q, convolutions="impala", image_units=8))

    assert found["image_camera_section_0/kernel"] == (3, 3, 3, 16)
    assert found["image_camera_dense/kernel"] == (2 * 2 * 32, 8)


def test_the_seed_decides_the_weights():
    first, again = (built(Q) for _ in range(2))
    for one, other in zip(first.step.variables, again.step.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
