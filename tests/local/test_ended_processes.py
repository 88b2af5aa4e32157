"""Ends of pool children, from the main process to the children that live on."""

from __future__ import annotations

import os

from tinyqueue.local.ended_processes import EndedProcesses
from tinyqueue.player.process_end import ProcessEnd


def end(task: str) -> ProcessEnd:
    return ProcessEnd(task, "pole", "r", "host:7:beef", -9)


def test_a_child_takes_each_end_once() -> None:
    ends = EndedProcesses()
    child = os.fork()
    if child == 0:
        while not (taken := ends.take()):
            pass
        os._exit(0 if taken == [end("a")] else 1)
    ends.put(end("a"))

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert ends.take() == []


def test_ends_are_taken_in_their_order() -> None:
    ends = EndedProcesses()
    ends.put(end("a"))
    ends.put(end("b"))

    assert ends.take() == [end("a"), end("b")]


def test_the_main_process_never_waits_for_a_reader() -> None:
    ends = EndedProcesses()
    for _ in range(10_000):
        ends.put(end("a"))

    assert 0 < len(ends.take()) < 10_000
