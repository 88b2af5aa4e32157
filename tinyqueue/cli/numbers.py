"""Numbers as a person types them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import click

_WRITTEN = re.compile(r"\d{1,3}(,\d{3})+|\d+(\.\d*)?([eE]\+?\d{1,3})?")


class WholeNumber(click.IntRange):
    """A whole number, which may also be written as ``1e6``, ``1_000_000`` or ``1,000,000``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Converts as :class:`click.IntRange` does, after rewriting such a number."""
        return super().convert(_rewritten(value), param, ctx)


def _rewritten(value: Any) -> Any:
    if not isinstance(value, str) or not _WRITTEN.fullmatch(value):
        return value
    number = Decimal(value.replace(",", ""))
    return int(number) if number == number.to_integral_value() else value
