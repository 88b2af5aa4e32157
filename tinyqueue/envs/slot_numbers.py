"""``{slot}`` in ``environment.kwargs``: a number of its own for each environment of a machine.

Players count from 0, each over all its slots; games of evaluating workers from 1000, those of
any other process from 2000, and an environment that is only looked at is 3000 or the next ones.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

PLAYER_INDEX = "TINYQUEUE_PLAYER_INDEX"
"""Variable of the process environment: which player of this machine this process is. Celery's
children have it from their place in the pool; on a worker it is the index of its first child."""

LOOKED_AT = 3000
_EVALUATED, _EVALUATED_ELSEWHERE = 1000, 2000
_PLACE = re.compile(r"\{slot(?:\+(\d{1,9}))?\}")


def first_played(slots: int) -> int:
    """The number of slot 0 of this process's stage."""
    return _index() * slots


def first_evaluated(slots: int) -> int:
    """The number of slot 0 of the games that this process evaluates with."""
    if PLAYER_INDEX in os.environ:
        return _EVALUATED + _index() * slots
    return _EVALUATED_ELSEWHERE


def is_numbered(kwargs: Mapping[str, Any]) -> bool:
    """Whether environments differ by their number."""
    return numbered(kwargs, 0) != kwargs


def numbered(kwargs: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The arguments of one environment.

    Args:
        kwargs: Plain data, in whose texts ``{slot}`` stands for the number and ``{slot+5000}``
            for a sum. A text that is nothing else becomes an integer.
        number: Its number.
    """
    return {key: _value(value, number) for key, value in kwargs.items()}


def _value(value: Any, number: int) -> Any:
    if isinstance(value, str):
        alone = _PLACE.fullmatch(value)
        if alone:
            return number + int(alone[1] or 0)
        return _PLACE.sub(lambda place: str(number + int(place[1] or 0)), value)
    if isinstance(value, list | tuple):
        return [_value(inner, number) for inner in value]
    if isinstance(value, Mapping):
        return numbered(value, number)
    return value


def _index() -> int:
    text = os.environ.get(PLAYER_INDEX, "")
    return int(text) if text.isdecimal() else 0
