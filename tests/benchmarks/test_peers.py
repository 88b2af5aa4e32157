"""Everyone takes turns, medians are compared, and a failure leaves the others alone."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner


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
            raise peers.PeerError("it fell over")
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
            raise peers.PeerError("cannot be installed: no wheel")

    monkeypatch.setattr(peers, "install", install)
    everyone = contestants(peers)

    peers.prepare(everyone, Path("cache"))

    assert [c.failed for c in everyone] == ["", "cannot be installed: no wheel", ""]


@pytest.mark.parametrize("work", ["cartpole", "pong"])
def test_everyone_has_a_script_and_shares_an_environment_only_with_its_like(
    peers: ModuleType, work: str
) -> None:
    everyone = peers.WORKS[work]()

    names = [c.name for c in everyone]
    kinds = {(c.environment, c.requirements) for c in everyone}

    assert names[0] == peers.OURS
    assert len(set(names)) == len(names)
    assert all(Path(c.command[0]).is_file() for c in everyone)
    # Who comes first installs for all: two lists of requirements for one folder would be a lie.
    assert sorted(folder for folder, _ in kinds) == ["", "sample-factory", "sb3"]
    assert ("", ()) in kinds


def test_our_other_network_is_in_the_table_without_a_ratio(peers: ModuleType) -> None:
    shallow = peers.Contestant(f"{peers.OURS}, shallow", "preset", "", (), ("ours",))
    everyone = [*contestants(peers)[:2], shallow]
    for contestant, figure in zip(everyone, (300.0, 100.0, 600.0), strict=True):
        contestant.runs.append(figure)

    rows = peers.table(peers.report("pong", everyone, 1.0, 1)).splitlines()[-3:]

    assert rows == [
        "| tinyqueue impala | preset | 300 | 300–300 |  |",
        "| A | 8 envs | 100 | 100–100 | 3.0 × |",
        "| tinyqueue impala, shallow | preset | 600 | 600–600 |  |",
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["cartpole"], 20.0), (["pong"], 60.0), (["pong", "--seconds", "7"], 7.0)],
)
def test_pong_is_measured_longer_where_nobody_says_how_long(
    peers: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    expected: float,
) -> None:
    def measure(python: Path, command: tuple[str, ...], seconds: float) -> dict[str, Any]:
        return {"env_steps_per_s": seconds}

    monkeypatch.setattr(peers, "use_cores", lambda count: None)
    monkeypatch.setattr(peers, "install", lambda folder, requirements: None)
    monkeypatch.setattr(peers, "measure", measure)

    result = CliRunner().invoke(peers.main, [*arguments, "--repeats", "1", "--json"])

    document = json.loads(result.stdout)
    assert (result.exit_code, document["seconds"]) == (0, expected)
    assert {r["env_steps_per_s"] for r in document["results"]} == {expected}
