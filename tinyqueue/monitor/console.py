"""A terminal on which text from the network cannot draw."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from tinyqueue.printable import MOST, printable_lines


class PrintableConsole(Console):
    """A console that shows text as it is: no markup, no emoji codes, no control characters.

    Whatever is shown on it, tables and frames too, passes through here on its way out.

    Args:
        options: Those of rich's console.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Called by rich for every string, before it is measured and laid out."""
        return super().render_str(printable_lines(text, MOST), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Called by rich for everything that is drawn; a style's colours are added later."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable() or segment.text == "\n":
                yield segment
            else:
                yield Segment(_kept_lines(segment.text), segment.style)


def _kept_lines(text: str) -> str:
    """Lines that rich has laid out already, so none is indented."""
    return "\n".join(printable_lines(line, len(line) * 10) for line in text.split("\n"))
