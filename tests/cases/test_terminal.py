"""The runner of the cases finds what it is there to find."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import terminal
from case import Command, judge
from terminal import Ended, Line, run

FORKS = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    {what}
    time.sleep(600)
time.sleep(1)
"""
LISTENS = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()"


def script(code: str, folder: Path, within_s: float = 30.0) -> Ended:
    return run([sys.executable, "-c", code], folder, dict(os.environ), within_s)


@pytest.mark.integration
def test_lines_of_both_streams_come_in_their_order(tmp_path: Path) -> None:
    code = "import sys; print('one', flush=True); print('two', file=sys.stderr); sys.exit(3)"

    ended = script(code, tmp_path)

    assert [line.text for line in ended.lines] == ["one", "two"]
    assert (ended.exit_code, ended.left, ended.open_ports) == (3, (), ())
    assert 0 < ended.lines[0].at_s <= ended.lines[1].at_s <= ended.seconds


@pytest.mark.integration
def test_a_process_that_stays_is_found_though_it_has_left_its_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "_GRACE_S", 0.2)

    ended = script(FORKS.format(what="pass"), tmp_path)

    assert len(ended.left) == 1
    assert ended.exit_code == 0
    assert "os.fork" in ended.left[0]


@pytest.mark.integration
def test_a_command_without_end_is_killed_with_its_children(tmp_path: Path) -> None:
    ended = script(FORKS.format(what=LISTENS).replace("sleep(1)", "sleep(600)"), tmp_path, 2.0)

    assert ended.exit_code is None
    assert ended.killed_for == "it had not ended"
    assert ended.open_ports == ()


@pytest.mark.integration
def test_a_fork_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "MOST_PROCESSES", 3)
    code = "import os, time\nfor _ in range(4): os.fork()\ntime.sleep(600)"

    ended = script(code, tmp_path)

    assert "more than 3 processes" in ended.killed_for


def test_what_is_not_right_is_said(tmp_path: Path) -> None:
    lines = (Line(1.0, "OldReset-v0 with impala"), Line(90.0, "go on: --resume runs/1"))
    ended = Ended(lines, 0, 95.0, "", ("7: sleep",), (5005,))
    command = Command(("tinyqueue",), ("reset",), ("--resume",), (1,), keeps_run=True)

    assert judge(command, ended, tmp_path) == [
        "exit code 0, not 1",
        "not said: reset",
        "said: go on: --resume runs/1",
        "left behind: process 7: sleep",
        "left behind: port 5005",
        "silent for 89 s",
        "it left no run",
    ]


def test_a_torn_run_is_found(tmp_path: Path) -> None:
    run_folder = tmp_path / "runs" / "mine-impala" / "1"
    (run_folder / "checkpoints" / "000000000100").mkdir(parents=True)
    (run_folder / "lock").touch()
    (run_folder / "run.json").write_text("{")
    (run_folder / "metrics.jsonl").write_text('{"a": 1}\n{"a"')

    faults = judge(Command(("tinyqueue",), ()), Ended((), 0, 1.0, "", (), ()), tmp_path)

    assert [fault.partition(": ")[2][:25] for fault in faults] == [
        "run.json is torn",
        "the last line of metrics.",
        "checkpoint 000000000100: ",
    ]
