"""Networks that see frames: the papers' layers, what they refuse, and what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinyqueue.data.spaces import Array, Leaf, Space, stacked
from tinyqueue.errors import ConfigError
from tinyqueue.models import impala, minatar, nature, shallow
from tinyqueue.models.network import Network, Output
from tinyqueue.models.registry import MODELS

SCREEN: Space = {"": Leaf("uint8", (84, 84), low=0.0, high=255.0)}
ATARI = stacked(SCREEN, 4)
ACTIONS: Space = {"": Leaf("uint8", (), n=4)}
ACTOR_CRITIC = {"logits": Output(4), "value": Output(1)}
Q = {"q": Output(4)}
DUELING = {"q": Output(4, dueling=True)}
FAMILIES = ("nature", "shallow", "impala")


CELLS: Space = {"": Leaf("bool", (10, 10, 4), low=0.0, high=1.0)}
"""What MinAtar's Breakout shows: which cells hold the paddle, the ball, its trail, a brick."""


def built(name: str, outputs: dict[str, Output], observations: Space = ATARI, **options: Any):
    entry = MODELS[name]
    return entry.build(observations, ACTIONS, outputs, entry.config(**options), 3)


def frames(rows: int, space: Space = ATARI, seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {p: rng.integers(0, 256, (rows, *leaf.shape), np.uint8) for p, leaf in space.items()}


def told(network: Network, seen: dict[str, Array]) -> dict[str, Array]:
    return {name: np.asarray(x) for name, x in network.apply(seen).items()}


def kernels(network: Network) -> dict[str, tuple[int, ...]]:
    return {v.path: tuple(v.shape) for v in network.step.variables if v.path.endswith("kernel")}


def test_nature_has_the_layers_and_the_1_686_180_parameters_of_dqn_for_four_actions():
    network = built("nature", Q)

    assert kernels(network) == {
        "convolution_0/kernel": (8, 8, 4, 32),
        "convolution_1/kernel": (4, 4, 32, 64),
        "convolution_2/kernel": (3, 3, 64, 64),
        "dense/kernel": (3136, 512),
        "q/kernel": (512, 4),
    }
    # 8,224 + 32,832 + 36,928 + 1,606,144 + 2,052
    assert network.step.count_params() == 1_686_180


def test_shallow_has_those_of_a3c():
    network = built("shallow", ACTOR_CRITIC)

    assert kernels(network) == {
        "convolution_0/kernel": (8, 8, 4, 16),
        "convolution_1/kernel": (4, 4, 16, 32),
        "dense/kernel": (2592, 256),
        "logits/kernel": (256, 4),
        "value/kernel": (256, 1),
    }
    # 4,112 + 8,224 + 663,808 + 1,028 + 257
    assert network.step.count_params() == 677_429


def test_minatar_has_those_of_its_authors_over_the_channels_of_its_cells():
    network = built("minatar", ACTOR_CRITIC, CELLS)

    assert kernels(network) == {
        "convolution_0/kernel": (3, 3, 4, 16),
        "dense/kernel": (1024, 128),
        "logits/kernel": (128, 4),
        "value/kernel": (128, 1),
    }
    # 592 + 131,200 + 516 + 129
    assert network.step.count_params() == 132_437


def test_impala_has_fifteen_convolutions_and_those_of_its_paper():
    network = built("impala", Q)

    convolved = [shape for shape in kernels(network).values() if len(shape) == 4]
    assert convolved == [
        (3, 3, 4, 16),
        *[(3, 3, 16, 16)] * 4,
        (3, 3, 16, 32),
        *[(3, 3, 32, 32)] * 9,
    ]
    assert kernels(network)["dense/kernel"] == (11 * 11 * 32, 256)
    # 592 + 4·2,320, 4,640 + 4·9,248, 5·9,248, 3,872·256 + 256, 1,028
    assert network.step.count_params() == 9_872 + 41_632 + 46_240 + 991_488 + 1_028


def test_the_streams_of_a_dueling_output_begin_at_the_convolutions():
    network = built("nature", DUELING)

    dense = {path: shape for path, shape in kernels(network).items() if len(shape) == 2}
    assert dense == {
        "q_value_hidden_0/kernel": (3136, 512),
        "q_value/kernel": (512, 1),
        "q_advantage_hidden_0/kernel": (3136, 512),
        "q_advantage/kernel": (512, 4),
    }


@pytest.mark.parametrize("name", FAMILIES)
def test_every_output_is_float32_one_row_per_stack(name: str):
    outputs = told(built(name, ACTOR_CRITIC), frames(3))

    assert {key: x.shape for key, x in outputs.items()} == {"logits": (3, 4), "value": (3,)}
    assert {x.dtype.name for x in outputs.values()} == {"float32"}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("core", ["lstm", "gru"])
def test_with_a_core_and_the_previous_action_it_is_unrolled(name: str, core: str):
    network = built(name, DUELING, core=core, core_units=8, dense=16, previous=True)
    seen = frames(6)[""].reshape(3, 2, 4, 84, 84)
    state = {path: np.zeros((2, *shape), np.float32) for path, shape in network.state.items()}
    starts = np.zeros((3, 2), bool)
    acted, rewarded = np.ones((3, 2), np.uint8), np.ones((3, 2), np.float32)

    outputs, after = network.unroll({"": seen}, state, starts, {"": acted}, rewarded)

    assert outputs["q"].shape == (3, 2, 4)
    assert set(after) == ({"hidden", "cell"} if core == "lstm" else {"hidden"})
    # What was done before matters, and so do earlier frames.
    other, _ = network.unroll({"": seen}, state, starts, {"": acted + 1}, rewarded)
    assert np.abs(other["q"] - outputs["q"]).max() > 1e-6
    seen[0] = 255 - seen[0]
    other, _ = network.unroll({"": seen}, state, starts, {"": acted}, rewarded)
    assert np.abs(other["q"][-1] - outputs["q"][-1]).max() > 1e-6


def test_the_seed_decides_the_weights():
    first, again = (built("shallow", Q, dense=8) for _ in range(2))
    for one, other in zip(first.step.variables, again.step.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_white_is_one_whatever_number_the_space_calls_white():
    seen = frames(2)
    usual = built("shallow", Q)
    halved = stacked({"": Leaf("uint8", (84, 84), low=0.0, high=127.5)}, 4)

    expected = told(built("shallow", Q, halved), {"": seen[""] // 2})["q"]
    np.testing.assert_allclose(told(usual, {"": seen[""] // 2 * 2})["q"], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "shape", "stack"),
    [("minatar", (10, 10, 4), 1), ("minatar", (10, 10, 4), 3), ("shallow", (84, 84), 4)],
)
def test_bits_are_seen_as_nought_and_one(name: str, shape: tuple[int, ...], stack: int):
    bits = stacked({"": Leaf("bool", shape, low=0.0, high=1.0)}, stack)
    numbers = stacked({"": Leaf("uint8", shape, low=0.0, high=1.0)}, stack)
    seen = np.random.default_rng(1).integers(0, 2, (2, *bits[""].shape), np.uint8)

    outputs = told(built(name, Q, bits), {"": seen.astype(bool)})["q"]

    np.testing.assert_allclose(outputs, told(built(name, Q, numbers), {"": seen})["q"], rtol=1e-5)
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3


@pytest.mark.parametrize("shape", [(84, 84, 3), (84, 84)])
@pytest.mark.parametrize("stack", [1, 2])
def test_frames_may_have_colours_and_stand_alone(shape: tuple[int, ...], stack: int):
    space = stacked({"camera": Leaf("uint8", shape, low=0.0, high=255.0)}, stack)
    channels = stack * (3 if len(shape) == 3 else 1)

    network = built("shallow", Q, space, dense=8)

    assert kernels(network)["convolution_0/kernel"] == (8, 8, channels, 16)
    assert told(network, frames(2, space))["q"].shape == (2, 4)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"": Leaf("float32", (4,))}, r"one array of float32 \[4\]"),
        ({"a": SCREEN[""], "b": SCREEN[""]}, r"a of uint8 \[84, 84\], b of uint8 \[84, 84\]"),
        ({"": Leaf("uint8", (84, 84), n=2)}, r"one array of uint8 \[84, 84\]"),
    ],
)
def test_what_is_no_image_is_refused(space: Space, said: str):
    with pytest.raises(ConfigError, match=said):
        built("nature", Q, stacked(space, 4))


def test_images_that_are_too_small_are_refused_with_the_least_size():
    small = stacked({"": Leaf("uint8", (35, 84), low=0.0, high=255.0)}, 4)
    with pytest.raises(ConfigError, match=r"36 × 36 pixels or more.*35 × 84"):
        built("nature", Q, small)
    least = stacked({"": Leaf("uint8", (36, 36), low=0.0, high=255.0)}, 4)
    assert kernels(built("nature", Q, least))["dense/kernel"] == (64, 512)


def test_configs_have_the_papers_units():
    assert nature.NatureConfig().dense == 512
    assert minatar.MinatarConfig().dense == 128
    assert shallow.ShallowConfig().dense == impala.ImpalaNetworkConfig().dense == 256
