"""A person is told of work that takes long, and of no other."""

import time
from itertools import pairwise

import pytest

from tinyqueue.monitor.long_work import told_while


def test_long_work_is_told_ever_more_seldom():
    said: list[tuple[float, str]] = [(time.monotonic(), "")]

    with told_while("compiling", lambda told: said.append((time.monotonic(), told)), first_s=0.05):
        while len(said) < 4:
            time.sleep(0.01)

    times, lines = zip(*said[:4], strict=True)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert all(pause >= 0.05 * 2**n for n, pause in enumerate(pauses)), pauses
    assert all(one.startswith("compiling: ") and one.endswith(" s so far") for one in lines[1:])


def test_short_work_is_not_told_and_ends_at_once():
    said: list[str] = []
    began_s = time.monotonic()

    with told_while("compiling", said.append, first_s=30.0):
        pass

    assert not said
    assert time.monotonic() - began_s < 5.0


def test_an_error_passes_through_and_ends_the_telling():
    said: list[str] = []

    with pytest.raises(KeyError), told_while("compiling", said.append, first_s=0.05):
        raise KeyError("missing")
    time.sleep(0.2)

    assert not said
