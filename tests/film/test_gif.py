"""GIFs keep the film's pace."""

from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
from filming import gif_seconds

from tinyqueue.film.gif import write_gif


@pytest.mark.parametrize(
    ("per_s", "frames", "pictures", "seconds"),
    [(15, 30, 30, 2.1), (50, 100, 50, 2.0), (30, 61, 31, 2.17), (60, 120, 40, 2.0)],
)
def test_a_gif_lasts_as_long_as_the_film(tmp_path, per_s, frames, pictures, seconds):
    gif = tmp_path / "film.gif"

    write_gif(gif, (np.full((20, 30, 3), number, np.uint8) for number in range(frames)), per_s)

    every_picture: Any = ...
    taken = imageio.imread(gif, plugin="pillow", index=every_picture)
    assert taken.shape == (pictures, 20, 30, 3)
    every = -(-frames // pictures)
    assert [int(picture.max()) for picture in taken[:3]] == [0, every, 2 * every]
    assert gif_seconds(gif) == pytest.approx(seconds)
    assert imageio.immeta(gif, plugin="pillow")["loop"] == 0
