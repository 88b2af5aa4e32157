"""What happens while a test waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def meanwhile(after_s: float, call: Callable[..., Any], *args: Any) -> Iterator[None]:
    """Calls ``call(*args)`` in another thread after ``after_s``; has returned at the end.

    A thread that a test leaves behind uses what the test's fixtures close.
    """
    timer = threading.Timer(after_s, call, args)
    timer.start()
    try:
        yield
    finally:
        timer.join()
