"""Frames that are held compressed come back as they were."""

import numpy as np

from tinyqueue.film.packed_frames import PackedFrames


def test_a_list_of_frames_gives_back_what_it_took():
    rng = np.random.default_rng(0)
    frames = [rng.integers(256, size=(7, 5, 3), dtype=np.uint8) for _ in range(3)]
    packed = PackedFrames()
    for frame in frames:
        packed.append(frame)

    assert len(packed) == 3
    assert all(np.array_equal(a, b) for a, b in zip(packed, frames, strict=True))
    assert np.array_equal(packed[-1], frames[2])
    assert isinstance(packed, list)


def test_a_frame_may_be_drawn_over_after_it_was_taken():
    canvas = np.zeros((4, 4, 3), np.uint8)
    packed = PackedFrames()
    packed.append(canvas)
    canvas[...] = 255

    assert packed[0].max() == 0


def test_a_flat_picture_takes_a_hundredth_of_its_size():
    packed = PackedFrames()
    packed.append(np.full((400, 600, 3), 255, np.uint8))

    _, data = next(list.__iter__(packed))
    assert len(data) < 7200
