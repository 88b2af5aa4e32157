"""A click group that imports a command only when it is used, so that ``--help`` is fast."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from tinyqueue.errors import UnknownNameError


class LazyGroup(click.Group):
    """Commands by name, each given as ``module:attribute`` and a line of help."""

    def __init__(
        self, *args: Any, lazy: Mapping[str, tuple[str, str]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order given."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports a command.

        Raises:
            UnknownNameError: There is no such command; the text suggests the nearest.
            KeyboardInterrupt: Ctrl-C came while it was imported; the text says so.
        """
        if cmd_name not in self._lazy:
            raise UnknownNameError("command", cmd_name, self._lazy)
        module, _, attribute = self._lazy[cmd_name][0].partition(":")
        try:
            command: click.Command = getattr(import_module(module), attribute)
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt("Nothing was done yet.") from error
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the lines of help, without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self._lazy.items()])
