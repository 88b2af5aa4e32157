"""How a campaign judges: what is broken on purpose shows in its report."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from fault_campaign.kept import Endings, Kept
from fault_campaign.progress import Progress, resumed_at
from fault_campaign.results import Balance, Report, Result, spread
from fault_campaign.versions import Published, Versions


def result(number: int, recovery_s: float | None, name: str = "redis-flush") -> Result:
    return Result(number, name, "redis", 0, 0.0, 0.0, recovery_s=recovery_s)


def test_a_recovery_that_did_not_come_is_the_slowest() -> None:
    found = spread([result(1, 2.0), result(2, None), result(3, 1.0)])

    assert found == {"times": 3, "wrong": 0, "median_s": 2.0, "p95_s": None, "max_s": None}


def test_of_twenty_recoveries_the_nineteenth_is_the_p95() -> None:
    results = [result(n, float(n)) for n in range(1, 21)]

    assert spread(results)["p95_s"] == 19.0
    assert Report(1, results).slow_kinds() == ["redis: p95 19.0 s, goal 5 s"]


def test_a_report_lists_whatever_is_wrong() -> None:
    fault = result(4, 1.0)
    fault.wrong.append("learner ended with 1")
    report = Report(1, [fault], [Balance(1, lost=2, falls=["pole: 3 after 4"])])

    assert report.wrong == [
        "4 redis-flush: learner ended with 1",
        "servers 1: pole: 3 after 4",
        "servers 1: 2 lost",
    ]
    assert report.document()["by_fault"]["redis-flush"]["wrong"] == 1
    assert "| redis-flush | redis | 1 | 1.0 | 1.0 | 1.0 | 1 |" in report.table()


def versions(*published: Published) -> Versions:
    log = Versions.__new__(Versions)
    log.published = {"pole": list(published)}
    return log


def test_the_newest_version_may_come_again_in_an_emptied_store_and_nowhere_else() -> None:
    assert versions(Published(1, 0), Published(2, 0), Published(2, 1)).falls() == []
    assert versions(Published(2, 0), Published(2, 0)).falls() == ["pole: 2 after 2"]
    assert versions(Published(2, 0), Published(1, 1)).falls() == ["pole: 1 after 2"]


def test_lost_training_is_measured_in_seconds_with_progress() -> None:
    progress = Progress("pole", Path("runs"), 64)
    progress.times = [0.0, 1.0, 2.0, 3.0, 60.0, 61.0]
    progress.steps = [0, 100, 200, 200, 200, 300]

    assert progress.trained_s(100, 61.0) == 2.0
    assert progress.trained_s(300, 61.0) == 0.0
    assert progress.standstill_s(0.5, 61.0) == 59.0


@pytest.mark.parametrize(
    ("said", "steps"),
    [
        ("resumed from the checkpoint at 1,024 env steps (update 1); updates on 64", 1024),
        ("the run has no checkpoint yet: training starts from scratch, and updates on 64", 0),
        ("nothing yet", None),
    ],
)
def test_what_a_learner_resumed_is_read_from_what_it_says(said: str, steps: int | None) -> None:
    assert resumed_at(said) == steps


def test_an_ending_is_noted_once_unless_it_was_meant(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    meant, other = (Kept(name, command, {}, tmp_path) for name in ("meant", "other"))
    noted: list[tuple[str, str]] = []
    endings = Endings([], [meant, other], lambda kind, text: noted.append((kind, text)))
    for kept in (meant, other):
        kept.start()

    meant.kill()
    other.process.kill()
    for _ in range(2):
        endings.look()
        time.sleep(0.01)

    assert [kind for kind, _ in noted] == ["learner"]
    assert "other ended with -9" in noted[0][1]
