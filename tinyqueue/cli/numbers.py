"""Numbers as a person types them."""

from __future__ import annotations

from typing import Any

import click


class WholeNumber(click.IntRange):
    """A whole number, which may also be written as ``1e6``, ``1_000_000`` or ``1,000,000``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Converts as :class:`click.IntRange` does, after rewriting such a number."""
        return super().convert(_rewritten(value), param, ctx)


def _rewritten(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        number = float(value.replace(",", ""))
    except ValueError:
        return value
    return int(number) if number.is_integer() else value
