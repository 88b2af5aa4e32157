"""Keeping standard output for results only, and the terminal for the view only."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any, TextIO, TypeVar, cast

import click

from tinyqueue.printable import printable_lines

C = TypeVar("C", bound=Callable[..., Any])
_RESULTS = "tinyqueue.results"


def json_option(help_text: str = "Print one JSON object.") -> Callable[[C], C]:
    """The option ``--json``.

    Only the object goes to standard output: whatever an environment prints, including its C code
    and its children, goes to standard error.
    """

    def begin(ctx: click.Context, param: click.Parameter, as_json: bool) -> bool:
        if as_json:
            ctx.meta[_RESULTS] = ctx.with_resource(_results_alone())
        return as_json

    return click.option(
        "--json", "as_json", is_flag=True, is_eager=True, callback=begin, help=help_text
    )


def results_apart(command: C) -> C:
    """Makes standard output of a command that plays an environment hold its results alone.

    They are what :func:`print_result` and :func:`print_json` print. What an environment prints
    goes to standard error, with the progress.
    """

    @wraps(command)
    def wrapped(*args: Any, **options: Any) -> Any:
        context = click.get_current_context()
        if _RESULTS not in context.meta:
            context.meta[_RESULTS] = context.with_resource(_results_alone())
        return command(*args, **options)

    return cast(C, wrapped)


def print_text(*texts: object, err: bool = False, **style: Any) -> None:
    """Prints texts, each on a line of its own, which may quote what others sent.

    Args:
        texts: Their own line breaks stay, indented.
        err: On standard error instead of standard output.
        style: Colours for :func:`click.style`.
    """
    for text in texts:
        click.secho(printable_lines(text), err=err, **style)


def print_result(*texts: object) -> None:
    """As :func:`print_text`, in a command whose :func:`results_apart` are on standard output."""
    for text in texts:
        click.echo(printable_lines(text), file=_results())


def print_json(text: str) -> None:
    """Prints the object of a command with :func:`json_option`."""
    click.echo(text, file=_results())


def own_stream(stream: TextIO) -> TextIO:
    """The stream on a descriptor of its own, unbuffered.

    It is unaffected if 1 and 2 are redirected. A stream that is neither of the two is returned
    unchanged.
    """
    if _descriptor(stream) not in (1, 2):
        return stream
    stream.flush()
    raw = io.FileIO(os.dup(stream.fileno()), "w")
    return io.TextIOWrapper(
        raw,
        encoding=stream.encoding,
        errors=stream.errors,
        write_through=True,
    )


@contextmanager
def printed_to(log: Path, *descriptors: int) -> Iterator[None]:
    """Inside it, everything written to the descriptors, by whatever means, goes to a file.

    Args:
        log: The file to append to.
        descriptors: 1, 2 or both.
    """
    kept = {}
    with log.open("ab") as file:
        for descriptor in descriptors:
            _flush()
            kept[descriptor] = os.dup(descriptor)
            os.dup2(file.fileno(), descriptor)
    try:
        yield
    finally:
        _flush()
        for descriptor, before in kept.items():
            os.dup2(before, descriptor)
            os.close(before)


def _results() -> TextIO | None:
    """Where results go if that is not ``sys.stdout``."""
    context = click.get_current_context(silent=True)
    return context.meta.get(_RESULTS) if context else None


@contextmanager
def _results_alone() -> Iterator[TextIO]:
    results = sys.stdout
    if _descriptor(results) != 1:
        with contextlib.redirect_stdout(sys.stderr):
            yield results
        return
    own = own_stream(results)
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield own
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        own.close()


def _descriptor(stream: TextIO) -> int:
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return -1


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
