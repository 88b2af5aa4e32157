"""Training convolves blocks of pixels, acting convolves pixels: the same numbers come out."""

from __future__ import annotations

import numpy as np
import pytest

from tinyqueue.models.frame_convolution import frame_convolution
from tinyqueue.models.keras_import import import_keras


def convolution(size: int, stride: int, padding: str = "valid"):
    _, keras = import_keras()
    return frame_convolution()(
        5,
        size,
        stride,
        padding=padding,
        initializer=keras.initializers.GlorotUniform(seed=1),
        scale=1 / 255,
        name="frames",
    )


def plain(frames: np.ndarray, kernel: np.ndarray, size: int, stride: int) -> np.ndarray:
    """``[N, h, w, F]`` by the definition, one window at a time."""
    stack, sides = frames.shape[1], frames.shape[2:4]
    pixels = np.moveaxis(frames.reshape(*frames.shape[:4], -1), 1, 3) / 255
    pixels = pixels.reshape(len(frames), *sides, -1)
    high, wide = ((side - size) // stride + 1 for side in sides)
    assert kernel.shape[2] % stack == 0
    rows = [
        [
            np.tensordot(
                pixels[:, y * stride : y * stride + size, x * stride : x * stride + size], kernel, 3
            )
            for x in range(wide)
        ]
        for y in range(high)
    ]
    return np.moveaxis(np.array(rows), 2, 0)


@pytest.mark.parametrize(
    ("shape", "size", "stride"),
    [
        ((4, 84, 84), 8, 4),
        ((1, 20, 28), 8, 4),
        ((2, 23, 21), 8, 4),  # pixels at the edges that no window reaches
        ((3, 16, 18, 3), 4, 2),
        ((2, 16, 16, 2), 4, 2),
        ((2, 9, 9), 3, 1),
        ((2, 11, 11), 3, 2),
    ],
)
def test_both_ways_give_what_the_definition_says(shape, size, stride):
    frames = np.random.default_rng(0).integers(0, 256, (3, *shape)).astype(np.uint8)
    layer = convolution(size, stride)
    acting = layer(frames).numpy()
    trained = layer(frames, training=True).numpy()

    kernel = layer.kernel.numpy()
    assert kernel.shape == (size, size, shape[0] * (shape[3] if len(shape) == 4 else 1), 5)
    expected = plain(frames, kernel, size, stride)
    np.testing.assert_allclose(acting, expected, atol=1e-5)
    np.testing.assert_allclose(trained, expected, atol=1e-5)


def test_gradients_are_those_of_the_plain_convolution():
    tf, _ = import_keras()
    frames = np.random.default_rng(0).integers(0, 256, (3, 4, 24, 24)).astype(np.uint8)
    layer = convolution(8, 4)
    gradients = []
    for training in (False, True):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(layer(frames, training=training)))
        gradients.append(tape.gradient(loss, [layer.kernel.value, layer.bias.value]))
    for plainly, by_blocks in zip(*gradients, strict=True):
        np.testing.assert_allclose(by_blocks.numpy(), plainly.numpy(), rtol=1e-4, atol=1e-4)


def test_padding_keeps_the_size():
    frames = np.zeros((2, 4, 9, 7), np.uint8)
    assert convolution(3, 1, "same")(frames, training=True).shape == (2, 9, 7, 5)
