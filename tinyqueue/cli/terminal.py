"""What a command does if its terminal, pipe or log file is missing or goes away."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import IO

import click

from tinyqueue.printable import MOST_OF_TRACEBACK, printable_lines

_OF_STREAMS = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF)


def open_missing() -> None:
    """Opens standard input, output and error if a command was started without them.

    Otherwise a run's files would get their numbers, and a C library's output would go there.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # This gets the lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Inside it, SIGTERM and SIGHUP end a command like Ctrl-C, so that what it started ends too.

    A signal that is ignored stays ignored, as under ``nohup``.
    """
    is_main = threading.current_thread() is threading.main_thread()
    numbers = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if is_main and signal.getsignal(number) == signal.SIG_DFL
    ]
    for number in numbers:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def show_tracebacks() -> None:
    """Escapes the traceback that this process prints if it ends by an unexpected error."""
    sys.excepthook = _print_traceback
    threading.excepthook = _print_traceback_of_thread


def say(text: str) -> None:
    """Prints a sentence on standard error, if it can be written to."""
    with suppress(OSError):
        click.echo(printable_lines(text), err=True)


def is_of_output(error: OSError) -> bool:
    """Whether an error is from an open stream whose reader, terminal or disk space is gone."""
    return error.filename is None and error.errno in _OF_STREAMS


def let_go() -> None:
    """Discards output that cannot be written, so that Python does not complain at exit."""
    for stream in (sys.stdout, sys.stderr):
        if _is_sound(stream):
            continue
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
            stream.flush()


def _print_traceback(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> None:
    text = "".join(traceback.format_exception(kind, error, trace)).rstrip()
    print(printable_lines(text, MOST_OF_TRACEBACK), file=sys.stderr)


def _print_traceback_of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit:
        _print_traceback(args.exc_type, args.exc_value, args.exc_traceback)


def _is_sound(stream: IO[str]) -> bool:
    try:
        stream.flush()
    except OSError:
        return False
    except ValueError:
        pass  # It was closed in order.
    return True


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
