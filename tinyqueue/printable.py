"""Text that may come from the network, made safe to show: in a log, a terminal or a file.

A terminal obeys control characters: they set its title, move the cursor over other lines, or
reverse the reading direction. What a sender chose must neither do that, nor pass for a line of
ours, nor fill a screen. Each way out calls one of these functions once, for all its text.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

MOST = 2_000
"""Characters of one text. Reasons and errors have some hundreds."""
MOST_OF_TRACEBACK = 20_000
_MOST_ITEMS = 100
_INDENT = "  "
_ENDS = re.compile(r"\r\n|\n")
_NAMED = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}


def printable(text: object, most: int = MOST) -> str:
    """The text in one line without a character that a terminal would obey.

    Escaped, as in Python's ``repr``, is what Unicode calls control (C0, C1), format (which sets
    the reading direction, or is invisible), line or paragraph separator, surrogate, or
    unassigned; also every space but the common one.

    Args:
        text: Anything; ``str`` is called on it.
        most: Characters of the result; a longer text is cut and says so.
    """
    text = str(text)
    if len(text) <= most and text.isprintable():
        return text
    escaped = "".join(map(_escaped, text[:most]))
    if len(text) <= most and len(escaped) <= most:
        return escaped
    left_out = f"… ({len(text):,} characters)"
    return escaped[: max(0, most - len(left_out))] + left_out


def printable_lines(text: object, most: int = MOST) -> str:
    """As :func:`printable`, but line breaks stay; each further line is indented.

    So nothing that was sent can begin a line.
    """
    first, *others = _ENDS.split(str(text)[: most + 1])
    lines = [first, *(line if line.startswith(" ") else f"{_INDENT}{line}" for line in others)]
    shown = "\n".join(printable(line, most) for line in lines)
    if len(str(text)) <= most and len(shown) <= most:
        return shown
    left_out = f"… ({len(str(text)):,} characters)"
    return shown[: max(0, most - len(left_out))] + left_out


def printable_event(
    logger: object, method: str, event: MutableMapping[str, Any]
) -> Mapping[str, Any]:
    """All names and values of a log line; a processor for structlog, just before the renderer."""
    return {
        printable(key): printable_lines(value, MOST_OF_TRACEBACK)
        if key in ("exception", "stack")
        else _value(value)
        for key, value in event.items()
    }


class PrintableFormatter(logging.Formatter):
    """Formats as another formatter does, and shows it by :func:`printable_lines`.

    Args:
        formatter: The other one; it must not colour.
    """

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self._formatter = formatter

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, with its traceback."""
        return printable_lines(self._formatter.format(record), MOST_OF_TRACEBACK)


def make_printable(logger: logging.Logger) -> None:
    """Puts a :class:`PrintableFormatter` into every handler of a logger that has none yet."""
    for handler in logger.handlers:
        if not isinstance(handler.formatter, PrintableFormatter):
            handler.setFormatter(PrintableFormatter(handler.formatter or logging.Formatter()))


def _value(value: object, depth: int = 0) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth < 4 and isinstance(value, Mapping):
        pairs = list(value.items())[:_MOST_ITEMS]
        return {printable(key): _value(item, depth + 1) for key, item in pairs}
    if depth < 4 and isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_value(item, depth + 1) for item in value[:_MOST_ITEMS]]
    return printable(value)


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    named = _NAMED.get(character)
    if named:
        return named
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
