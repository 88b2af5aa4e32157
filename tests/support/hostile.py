"""Text as a sender would choose it to rule somebody's terminal."""

from __future__ import annotations

import re
import sys
import unicodedata

OBEYED = [
    chr(code)
    for code in range(sys.maxunicode + 1)
    if unicodedata.category(chr(code)) in ("Cc", "Cf", "Zl", "Zp", "Cs")
]
"""Every code point that is control, format, a line or paragraph separator, or a surrogate."""

TEXTS = [
    "\x1b]0;pwned\x07\x1b[31m",
    "\x9b31mred\x9d0;title\x9c",
    "done\nerror: forged\r\nerror: forged\rerror: forged",
    "\x1b[2J\x1b[1A\x1b[2Khidden",
    "abc\u202edcba\u2066x\u2069",
    "\u2028error: forged\u2029error: forged\x85error: forged",
    "[link=file:///etc/passwd]here[/link] [bold]x[/] [/closed] :boom:",
    "lone \ud800 surrogate \udfff",
    "zero\u200bwidth\ufeff\U000e0041",
    "x" * 1_000_000,
    "\x1b" * 1_000_000,
    "line\n" * 100_000,
]

_OF_RICH = re.compile(r"\x1b\[(\?25[hl]|\d*[AK]|[\d;]*m)|\r(?=\n|\x1b)")
"""How rich moves the cursor and colours."""


def obeyed(output: str, *, has_colours: bool = False) -> list[str]:
    """The characters of an output that a terminal would obey, other than the line break.

    Args:
        output: What was printed.
        has_colours: Whether rich's own sequences are expected in it.
    """
    if has_colours:
        output = _OF_RICH.sub("", output)
    return sorted({c for c in output if c != "\n" and not c.isprintable()})
