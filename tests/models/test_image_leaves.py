"""What counts as an image, where its channels are, and how its pixels are scaled."""

from __future__ import annotations

import numpy as np
import pytest

from tinyqueue.data.spaces import Leaf, stacked
from tinyqueue.models.image_leaves import frames_of, image_layout, is_image
from tinyqueue.models.keras_import import import_keras


def byte(*shape: int) -> Leaf:
    return Leaf("uint8", shape, low=0.0, high=255.0)


@pytest.mark.parametrize(
    ("shape", "height", "width", "channels_first"),
    [
        ((10, 10, 3), 10, 10, False),
        ((3, 10, 10), 10, 10, True),
        ((210, 160, 3), 210, 160, False),
        ((4, 84, 96), 84, 96, True),
        ((10, 10, 10), 10, 10, False),
        ((17, 8, 8), 8, 8, True),  # more channels than rows, as of a board
        ((8, 8, 111), 8, 8, False),
        ((4, 9, 4), 4, 9, False),
    ],
)
def test_the_shape_says_where_the_channels_are(shape, height, width, channels_first):
    layout = image_layout(byte(*shape))

    assert (layout.height, layout.width) == (height, width)
    assert layout.channels_first is channels_first


def test_a_setting_overrides_the_shape():
    assert image_layout(byte(10, 10, 3), "first").leaf.shape == (10, 3, 10)
    assert image_layout(byte(3, 10, 10), "last").leaf.shape == (3, 10, 10)


@pytest.mark.parametrize(
    ("leaf", "expected"),
    [
        (byte(10, 10, 3), True),
        (byte(84, 84), True),
        (Leaf("bool", (10, 10, 4), low=0.0, high=1.0), True),
        (Leaf("float32", (3, 12, 12), low=0.0, high=1.0), True),
        (Leaf("float32", (5, 5)), False),  # a table, such as highway-env's of vehicles
        (Leaf("int32", (4, 4), low=0.0, high=2048.0), False),
        (byte(1, 7), False),
        (byte(2, 9, 9), True),  # channels first
        (byte(2, 2, 3), False),
        (byte(128), False),
        (Leaf("uint8", (7, 7, 3), n=11), False),
        (stacked({"": byte(84, 84)}, 4)[""], True),
        (stacked({"": Leaf("float32", (6,))}, 4)[""], False),
    ],
)
def test_what_is_an_image(leaf, expected):
    assert is_image(leaf) is expected


@pytest.mark.parametrize(
    ("leaf", "scale"),
    [
        (byte(9, 9, 3), 1 / 255),
        (Leaf("uint8", (9, 9, 3)), 1 / 255),  # bounds differ from pixel to pixel
        (Leaf("uint8", (9, 9, 3), low=0.0, high=1.0), 1.0),
        (Leaf("float32", (9, 9, 3), low=0.0, high=255.0), 1 / 255),
        (Leaf("float32", (9, 9, 3), low=-1.0, high=1.0), 1.0),
        (Leaf("float32", (9, 9, 3)), 1.0),
        (Leaf("int32", (9, 9, 3), low=-(2.0**31), high=2.0**31 - 1), 1.0),
    ],
)
def test_pixels_are_scaled_by_their_bounds(leaf, scale):
    assert image_layout(leaf).scale == pytest.approx(scale)


def test_channels_move_to_the_end_behind_the_frames_of_a_stack():
    _, keras = import_keras()
    seen = np.arange(2 * 5 * 3 * 4 * 6, dtype=np.float32).reshape(2, 5, 3, 4, 6)
    layout = image_layout(stacked({"": byte(3, 4, 6)}, 5)[""])

    frames = frames_of(keras.ops.convert_to_tensor(seen), layout)

    np.testing.assert_array_equal(frames, np.moveaxis(seen, 2, 4))
