"""Paths as a person types them."""

from __future__ import annotations

import os
from typing import Any

import click


class UserPath(click.Path):
    """A path in which ``~`` is the home folder, even if no shell has expanded it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Expands ``~``, then converts as :class:`click.Path` does."""
        return super().convert(os.path.expanduser(value), param, ctx)
