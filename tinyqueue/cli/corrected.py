"""The command that a person may have meant."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from tinyqueue.errors import ConfigError, TinyqueueError


def corrected(error: TinyqueueError, words: Sequence[str]) -> str | None:
    """The command with the word that an error is about replaced, and all else as it was typed.

    Args:
        error: What a command was refused with.
        words: The command, without the program.

    Returns:
        None when the error suggests nothing, or is about no word of the command, about its only
        one (the error says as much), or about one that it has twice.
    """
    if not isinstance(error, ConfigError) or not error.instead:
        return None
    if words.count(error.wrote) != 1 or len(words) == 1:
        return None
    at = words.index(error.wrote)
    return shlex.join(["tinyqueue", *words[:at], *error.instead, *words[at + 1 :]])
