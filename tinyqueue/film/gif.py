"""Films as GIF, for pages that cannot show video."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from pathlib import Path
from typing import Any

from tinyqueue.data.spaces import Array

_MOST_PER_S = 25
_COLOUR_BITS = 8


def write_gif(path: Path, frames: Iterable[Array], per_s: float) -> None:
    """Writes a looping GIF at the film's pace.

    Browsers show at most about 30 frames per second of a GIF, so only every second or third frame
    of a faster film is used. Each lasts a whole number of hundredths of a second, the unit of the
    format.

    Args:
        path: A new file that ends in ``.gif``.
        frames: ``[H, W, 3]`` uint8 each.
        per_s: Frames per second of the film.

    Raises:
        OSError: It cannot be written.
    """
    import imageio.v3 as imageio

    every = ceil(per_s / _MOST_PER_S)
    milliseconds = 10 * max(1, round(100 * every / per_s))
    options = {"bits": _COLOUR_BITS, "duration": milliseconds, "loop": 0}
    gif: Any  # The options are those of the plug-in, which imageio's own types do not list.
    with imageio.imopen(path, "w", plugin="pillow") as gif:
        for number, frame in enumerate(frames):
            if number % every == 0:
                gif.write(frame, is_batch=False, **options)
