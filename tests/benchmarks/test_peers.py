"""Everyone takes turns, medians are compared, and a failure leaves the others alone."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "peers.py"
    spec = importlib.util.spec_from_file_location("peers_script", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up.
    monkeypatch.setitem(sys.modules, "peers_script", module)
    spec.loader.exec_module(module)
    return module


def contestants(peers: ModuleType) -> list[Any]:
    return [
        peers.Contestant(peers.OURS, "preset", "", (), ("ours",)),
        peers.Contestant("A", "8 envs", "a", ("a==1",), ("a",)),
        peers.Contestant("B", "", "b", ("b==1",), ("b",)),
    ]


@pytest.fixture
def measured(peers: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Order of the measurements; ours gets 300, 100, 200 and A a tenth. B's library breaks."""
    order: list[str] = []

    def measure(python: Path, command: tuple[str, ...], seconds: float) -> dict[str, Any]:
        name = command[0]
        order.append(name)
        if name == "b":
            raise peers.Failed("it fell over")
        figure = [300.0, 100.0, 200.0][order.count(name) - 1]
        return {"env_steps_per_s": figure if name == "ours" else figure / 10}

    monkeypatch.setattr(peers, "measure", measure)
    return order


def test_they_take_turns_and_who_failed_is_not_asked_again(
    peers: ModuleType, measured: list[str]
) -> None:
    peers.compete(contestants(peers), Path("cache"), 1.0, 3)

    assert measured == ["ours", "a", "b", "ours", "a", "ours", "a"]


def test_the_report_compares_medians(peers: ModuleType, measured: list[str]) -> None:
    everyone = contestants(peers)
    peers.compete(everyone, Path("cache"), 1.0, 3)

    ours, a, b = peers.report("cartpole", everyone, 1.0, 3)["results"]

    assert (ours["env_steps_per_s"], ours["ratio"]) == (200.0, 1.0)
    assert (a["env_steps_per_s"], a["ratio"], a["failed"]) == (20.0, 10.0, None)
    assert (b["env_steps_per_s"], b["ratio"], b["failed"]) == (None, None, "it fell over")


def test_the_table_shows_figures_ratios_and_reasons(peers: ModuleType, measured: list[str]) -> None:
    everyone = contestants(peers)
    peers.compete(everyone, Path("cache"), 1.0, 3)

    rows = peers.table(peers.report("cartpole", everyone, 1.0, 3)).splitlines()[-3:]

    assert rows == [
        "| tinyqueue impala | preset | 200 | 100–300 |  |",
        "| A | 8 envs | 20 | 10–30 | 10.0 × |",
        "| B |  | failed: it fell over | | |",
    ]


def test_a_library_that_cannot_be_installed_fails_alone(
    peers: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(folder: Path, requirements: tuple[str, ...]) -> None:
        if folder.name == "a":
            raise peers.Failed("cannot be installed: no wheel")

    monkeypatch.setattr(peers, "install", install)
    everyone = contestants(peers)

    peers.prepare(everyone, Path("cache"))

    assert [c.failed for c in everyone] == ["", "cannot be installed: no wheel", ""]
