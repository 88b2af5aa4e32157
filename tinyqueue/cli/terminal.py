"""What a command does where its terminal, pipe or log file is not there, or goes away."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import IO

import click

_OF_STREAMS = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF)


def open_missing() -> None:
    """Makes standard input, output and error exist, where a command is started without them.

    A run's files would otherwise get their numbers, and what a C library prints would go there.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest number that is free, which is this one.
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP end a command as Ctrl-C does, so that what it started ends too.

    A signal that is ignored stays so: ``nohup`` asks for that.
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


def say(text: str) -> None:
    """A sentence on standard error, where anybody can read it."""
    with suppress(OSError):
        click.echo(text, err=True)


def is_of_output(error: OSError) -> bool:
    """Whether an error is that of an open stream: its reader, terminal or disk is not there."""
    return error.filename is None and error.errno in _OF_STREAMS


def let_go() -> None:
    """Gives up what an output does not take, so that Python does not complain of it at its end."""
    for stream in (sys.stdout, sys.stderr):
        if _is_sound(stream):
            continue
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
            stream.flush()


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
