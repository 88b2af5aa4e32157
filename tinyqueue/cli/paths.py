"""Paths as a person writes them."""

from __future__ import annotations

import os
from typing import Any

import click


class UserPath(click.Path):
    """A path in which ``~`` is the home folder, also where no shell has seen it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(os.path.expanduser(value), param, ctx)
