"""A class of a user's module as data: its name, and the arguments of its constructor."""

from __future__ import annotations

import re
from typing import Any

from tinyqueue.experiment.plain_data import plain_table

_FORM = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


def named_class(value: object, key: str, example: str) -> tuple[str, dict[str, Any]]:
    """The name and the arguments that a document gives: the name alone, or a table with both.

    Args:
        value: What the document has.
        key: The key of the table that names the class; every other key is an argument.
        example: Such a table, for the error.

    Returns:
        ``module:Class``, and the arguments.

    Raises:
        ValueError: It is neither.
    """
    table = {key: value} if isinstance(value, str) else plain_table(value)
    name = table.pop(key, None)
    if not isinstance(name, str) or not _FORM.fullmatch(name):
        said = "nothing" if name is None else repr(name)[:80]
        raise ValueError(
            f'must be "module:Class", or a table such as {example}; the {key} is {said}'
        )
    return name, table
