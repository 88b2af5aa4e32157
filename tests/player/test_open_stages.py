"""Which stages a player keeps, by the memory that they take."""

from __future__ import annotations

import mmap
import time
from types import SimpleNamespace
from typing import Any

import pytest

from tinyqueue.player import open_stages
from tinyqueue.player.memory import share_bytes, used_bytes
from tinyqueue.player.open_stages import OpenStages

MB = 2**20


class Machine:
    """Builds stages that take a number of MB each."""

    def __init__(self) -> None:
        self.used = 100 * MB
        self.closed: list[str] = []
        self.stages = OpenStages(self.closed.append, 100 * MB, lambda: self.used)

    def play(self, experiment: str, size_mb: int = 1) -> None:
        opened = self.stages.get(experiment) or self.stages.open(
            experiment, lambda: self.build(size_mb)
        )
        opened.used_s = time.monotonic()

    def build(self, size_mb: int) -> Any:
        self.used += size_mb * MB
        return SimpleNamespace(
            pending=None,
            used_s=time.monotonic(),
            stage=SimpleNamespace(id="s"),
            close=lambda: None,
        )


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_small_stages_are_kept_far_beyond_sixteen(machine: Machine) -> None:
    for _ in range(3):
        for number in range(50):
            machine.play(f"e{number}")

    assert machine.closed == []


def test_large_stages_go_least_recently_used_first(machine: Machine) -> None:
    for name in ("a", "b", "c"):
        machine.play(name, 30)
    machine.play("a")

    machine.play("d", 30)

    assert machine.closed == ["b"]


def test_one_stage_is_kept_however_large_it_is(machine: Machine) -> None:
    machine.play("a", 20)
    machine.play("huge", 1000)

    assert machine.closed == ["a"]
    machine.play("huge")
    assert machine.closed == ["a"]


def test_a_small_stage_costs_no_other_one(machine: Machine) -> None:
    machine.play("a", 90)
    machine.play("b", 5)

    assert machine.closed == []


def test_stages_are_bounded_in_number_too(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_stages, "MOST_STAGES", 3)
    for name in "abcd":
        machine.play(name, 0)

    assert machine.closed == ["a"]


def test_memory_of_this_process_and_machine_is_known_here() -> None:
    before = used_bytes()
    # A mapping of its own: the allocator may hold as much from an earlier test.
    with mmap.mmap(-1, 64 * MB) as block:
        block.write(b"x" * len(block))
        assert used_bytes() - before > 32 * MB

    assert share_bytes() > 16 * MB


@pytest.mark.parametrize(
    ("name", "text", "bytes_"),
    [("memory.max", "1073741824", 2**30), ("memory.max", "max", 8 * 2**30), ("x", "1", 8 * 2**30)],
)
def test_a_container_has_the_memory_that_it_may_use(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, name: str, text: str, bytes_: int
) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:       8388608 kB\nMemFree: 1 kB\n")
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup" / name).write_text(text)
    monkeypatch.setattr("os.cpu_count", lambda: 4)

    assert share_bytes(tmp_path) == bytes_ // 2 // 4
