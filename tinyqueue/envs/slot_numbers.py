"""``{slot}`` in ``environment.kwargs``: a unique number for each environment on a machine.

Players count from 0, each over all its slots; evaluating workers count from 1000, and other
evaluating processes from 2000. An environment that is only inspected has 3000 or a number after it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

PLAYER_INDEX = "TINYQUEUE_PLAYER_INDEX"
"""Environment variable with this process's index among the players of this machine. Celery's
children get it from their place in the pool; on a worker it is the index of its first child."""

LOOKED_AT = 3000
_EVALUATED, _EVALUATED_ELSEWHERE = 1000, 2000
_PLACE = re.compile(r"\{slot(?:\+(\d{1,9}))?\}")


def first_played(slots: int) -> int:
    """The number of slot 0 in this process's stage of ``slots`` environments."""
    return _index() * slots


def first_evaluated(slots: int) -> int:
    """The number of slot 0 when this process evaluates with ``slots`` environments."""
    if PLAYER_INDEX in os.environ:
        return _EVALUATED + _index() * slots
    return _EVALUATED_ELSEWHERE


def is_numbered(kwargs: Mapping[str, Any]) -> bool:
    """Whether arguments depend on an environment's number."""
    return numbered(kwargs, 0) != kwargs


def numbered(kwargs: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The arguments of one environment.

    Args:
        kwargs: Plain data. In its strings ``{slot}`` stands for the number and ``{slot+5000}``
            for a sum; a string that is nothing else becomes an integer.
        number: The environment's number.
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
