"""The command that a person may have meant."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from tinyqueue.errors import ConfigError, TinyqueueError


def corrected(error: TinyqueueError, words: Sequence[str]) -> str | None:
    """The command as it was typed, but with the word that an error is about replaced.

    Args:
        error: The error with which the command was refused.
        words: The command, without the program.

    Returns:
        None if the error suggests nothing, or if its word is not in the command, is there twice,
        or is the only word (the error then says enough).
    """
    if not isinstance(error, ConfigError) or not error.instead:
        return None
    if words.count(error.wrote) != 1 or len(words) == 1:
        return None
    at = words.index(error.wrote)
    return shlex.join(["tinyqueue", *words[:at], *error.instead, *words[at + 1 :]])
