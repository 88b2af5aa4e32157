"""Stacks that a graph gathers, against stacks that are made in NumPy, batches side by side."""

from __future__ import annotations

import numpy as np

from tinyqueue.algorithms.trajectories import Observed
from tinyqueue.data.session import Header, SessionBatch
from tinyqueue.data.spaces import Leaf, stacked
from tinyqueue.models.keras_import import import_keras

SPACE = {"eye": Leaf("uint8", (3, 2), low=0.0, high=255.0), "speed": Leaf("float32", ())}
HEADER = Header("e", "r", "0" * 32, 0, "guest", "p", 0, 0)
TICKS = 6


def batch(slots: int, seed: int, k: int) -> SessionBatch:
    rng = np.random.default_rng(seed)
    valid = np.ones((TICKS, slots), bool)
    valid[rng.integers(1, TICKS, slots), np.arange(slots)] = False
    nothing = np.zeros((TICKS, slots), bool)
    return SessionBatch(
        HEADER,
        {
            "eye": rng.integers(0, 256, (TICKS + 1, slots, 3, 2)).astype(np.uint8),
            "speed": rng.normal(size=(TICKS + 1, slots)).astype(np.float32),
        },
        {"": nothing.astype(np.uint8)},
        nothing.astype(np.float32),
        nothing,
        nothing,
        valid,
        carry={
            "episode_steps": rng.integers(0, k + 1, slots).astype(np.int32),
            "frames/eye": rng.integers(0, 256, (slots, k - 1, 3, 2)).astype(np.uint8),
            "frames/speed": rng.normal(size=(slots, k - 1)).astype(np.float32),
        },
    )


def plain(one: SessionBatch, path: str, k: int) -> np.ndarray:
    """``[T+1, B, k, …]``, frame by frame."""
    stacks = []
    for slot in range(one.slots):
        age = int(one.carry["episode_steps"][slot])
        history = [*one.carry[f"frames/{path}"][slot]]
        for tick in range(TICKS + 1):
            history.append(one.observations[path][tick, slot])
            stacks.append([history[-1 - min(age, back)] for back in range(k - 1, -1, -1)])
            age = age + 1 if tick < TICKS and one.valid[tick, slot] else 0
    rows = np.array(stacks).reshape(one.slots, TICKS + 1, k, *one.observations[path].shape[2:])
    return rows.swapaxes(0, 1)


def test_batches_side_by_side_are_stacked_as_each_for_itself():
    tf, _ = import_keras()
    k = 4
    observed = Observed(stacked(SPACE, k))
    batches = [batch(3, 1, k), batch(2, 2, k)]

    columns = zip(*(observed.arrays(one) for one in batches), strict=True)
    joined = [np.concatenate(parts, axis=1) for parts in columns]
    seen = tf.function(observed.tensors)([tf.constant(array) for array in joined])

    for path, leaf in stacked(SPACE, k).items():
        expected = np.concatenate([plain(one, path, k) for one in batches], axis=1)
        assert seen[path].shape == (TICKS + 1, 5, *leaf.shape)
        np.testing.assert_array_equal(seen[path].numpy(), expected)


def test_what_an_update_is_prepared_with_has_the_shapes_of_experience():
    for k in (1, 2, 4):
        observed = Observed(stacked(SPACE, k))
        arrays, nothing = observed.arrays(batch(3, 1, max(k, 2))), observed.nothing(TICKS, 3)
        assert observed.count == len(arrays) == len(nothing)
        if k == 1:
            assert [a.shape for a in arrays] == [(7, 3, 3, 2), (7, 3)]
        assert [(a.shape, a.dtype) for a in arrays] == [(a.shape, a.dtype) for a in nothing]
