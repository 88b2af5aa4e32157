"""A line above every frame that says how far training was, and the return so far."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from tinyqueue.data.spaces import Array

_LEAST_HEIGHT = 300
_WHITE = (235, 235, 235)


class Captioned(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Renders the environment below a band with ``title`` and the episode's return so far.

    Frames less than 300 pixels high are enlarged by a whole factor, so that the text is legible
    and pixels stay sharp. Width and height are made even, as mp4 players require.

    Attributes:
        title: The text at the left of the band; may be changed between episodes.
    """

    def __init__(self, environment: gymnasium.Env[Any, Any], title: str = "") -> None:
        super().__init__(environment)
        self.title = title
        self._return = 0.0

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Resets the environment and the return."""
        self._return = 0.0
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Steps the environment and adds to the return."""
        observed, reward, terminated, truncated, info = self.env.step(action)
        self._return += float(reward)
        return observed, reward, terminated, truncated, info

    def render(self) -> Any:
        """``[H', W', 3]`` uint8: the environment's frame with its caption."""
        frame: Any = self.env.render()
        return captioned(frame, self.title, f"return {self._return:.10g}")


def captioned(frame: Array, left: str, right: str) -> Array:
    """A frame with a band above it.

    Args:
        frame: ``[H, W, 3]`` uint8.
        left, right: The texts at the ends of the band, in a smaller font if both do not fit.

    Returns:
        ``[H', W', 3]`` uint8, of the same shape for every text.
    """
    from PIL import Image, ImageDraw, ImageFont

    factor = -(-_LEAST_HEIGHT // frame.shape[0])
    picture = frame.repeat(factor, axis=0).repeat(factor, axis=1)
    height, width = picture.shape[:2]
    size = max(12, height // 20)
    band = 2 * size
    image = Image.new("RGB", (width + width % 2, height + band + (height + band) % 2))
    image.paste(Image.fromarray(picture), (0, band))
    draw = ImageDraw.Draw(image)
    margin = size // 2
    while True:
        # The font that Pillow includes.
        font = ImageFont.load_default(size)
        widths = [draw.textlength(text, font=font) for text in (left, right)]
        if sum(widths) + 3 * margin <= width or size <= 8:
            break
        size -= 1
    draw.text((margin, band / 2), left, _WHITE, font, anchor="lm")
    draw.text((width - margin, band / 2), right, _WHITE, font, anchor="rm")
    return np.asarray(image)
