"""A view whose terminal, pipe or file may go away without ending the run in a traceback."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress

from tinyqueue.monitor.view import RunHeader, Snapshot, View


class LastingView:
    """Shows a run for as long as somebody can see it.

    A reader that has closed its pipe (``| head``) has seen enough: a callback is called, and
    nothing more is shown. After any other failure, such as a full disk or a terminal that is
    gone, the next line is tried again.

    Args:
        view: The view that draws and writes.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._is_closed = False
        self._closed: Callable[[], None] | None = None

    @contextmanager
    def tells(self, closed: Callable[[], None]) -> Iterator[None]:
        """Inside it, ``closed`` is called once nobody reads any more, from any writing thread."""
        self._closed = closed
        if self._is_closed:
            closed()
        try:
            yield
        finally:
            self._closed = None

    @property
    def is_due(self) -> bool:
        """Whether a snapshot is wanted now; False once nobody reads."""
        return not self._is_closed and self._view.is_due

    def start(self, header: RunHeader) -> None:
        """Starts the view, if somebody can see it."""
        with self._lasting():
            self._view.start(header)

    def update(self, snapshot: Snapshot) -> None:
        """Passes on a snapshot, if somebody can see it."""
        with self._lasting():
            self._view.update(snapshot)

    def message(self, text: str) -> None:
        """Passes on a line, if somebody can see it."""
        with self._lasting():
            self._view.message(text)

    def stop(self) -> None:
        """Stops the view, also if its output is gone."""
        # rich cannot stop what a broken pipe kept it from starting.
        with self._lasting(), suppress(IndexError) if self._is_closed else nullcontext():
            self._view.stop()

    @contextmanager
    def _lasting(self) -> Iterator[None]:
        try:
            yield
        except SystemExit:
            # How rich reports a broken pipe.
            self._close()
        except OSError as error:
            if error.errno == errno.EPIPE:
                self._close()

    def _close(self) -> None:
        is_first, self._is_closed = not self._is_closed, True
        if is_first and self._closed is not None:
            self._closed()
