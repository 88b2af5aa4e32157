"""The checker itself: a promise that is broken on purpose does not pass."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from checker import judge, read_books, read_env_steps, read_history

from tinyqueue.data.session import Drop
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.ledger.marks import Mark

A, B = "a" * 32, "b" * 32


def journal(folder: Path, name: str, *events: tuple[str, str], torn: str = "") -> None:
    folder.mkdir(exist_ok=True)
    lines = [json.dumps({"batch_id": batch, "event": event}) for batch, event in events]
    (folder / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines) + torn)


def books(run: Path, *marks: Mark, clock: int) -> None:
    run.mkdir(exist_ok=True)
    with Ledger(run / "sessions.db", experiment="pole", run="1") as ledger:
        ledger.record(marks)
    (run / "metrics.jsonl").write_text(f'{{"env_steps": 1}}\n{{"env_steps": {clock}}}\n')


def attempted(*batches: str) -> list[tuple[str, str]]:
    return [(batch, "attempted") for batch in batches]


def test_every_fate_counts_and_an_unknown_may_have_any(tmp_path: Path) -> None:
    batches = [f"{A}:{n}" for n in range(5)]
    events = [*attempted(*batches), (batches[0], "confirmed"), (batches[1], "confirmed")]
    journal(tmp_path / "j", "1", *events, (batches[2], "dropped"), torn='{"batch_id": "')
    books(
        tmp_path / "run",
        Mark(batches[0], "accepted", env_steps=64),
        Mark(batches[1], "set aside", "dtype"),
        Mark(batches[4], "dropped", "stale", announced=(Drop(2, "queue full"),)),
        clock=64,
    )

    verdict = judge(tmp_path / "j", tmp_path / "run")

    verdict.must_balance()
    assert verdict.books.by_fate == {"accepted": 1, "set aside": 1, "dropped": 2}
    assert verdict.books.missing == 1
    assert verdict.recovered == 1
    assert read_history(tmp_path / "j").unknown == {batches[3], batches[4]}


def test_a_confirmed_batch_without_a_fate_is_lost(tmp_path: Path) -> None:
    journal(
        tmp_path / "j",
        "1",
        *attempted(f"{A}:0", f"{A}:1", f"{B}:0"),
        *[(batch, "confirmed") for batch in (f"{A}:0", f"{A}:1", f"{B}:0")],
    )
    books(tmp_path / "run", Mark(f"{A}:1", "accepted", env_steps=64), clock=64)

    verdict = judge(tmp_path / "j", tmp_path / "run")

    assert verdict.lost == {f"{A}:0", f"{B}:0"}
    with pytest.raises(AssertionError, match="2 lost"):
        verdict.must_balance()


def test_a_fate_without_an_attempt_is_invented(tmp_path: Path) -> None:
    journal(tmp_path / "j", "1", *attempted(f"{A}:0"))
    marks = [Mark(f"{batch}:0", "accepted", env_steps=64) for batch in (A, B)]
    books(tmp_path / "run", *marks, clock=128)

    with pytest.raises(AssertionError, match="1 never attempted"):
        judge(tmp_path / "j", tmp_path / "run").must_balance()
    judge(tmp_path / "j", tmp_path / "run", others=frozenset({f"{B}:0"})).must_balance()


def test_stages_that_no_journal_has_count_without_being_listed(tmp_path: Path) -> None:
    marks = [Mark(batch_id, "accepted", env_steps=64) for batch_id in (f"{A}:0", f"{B}:{10**9}")]
    books(tmp_path / "run", *marks, clock=128)

    found = read_books(tmp_path / "run", without="b")

    assert found.settled == {f"{A}:0"}
    assert found.env_steps == read_env_steps(tmp_path / "run") == 128


def test_what_was_trained_on_again_shows_in_the_clock(tmp_path: Path) -> None:
    journal(tmp_path / "j", "1", *attempted(f"{A}:0"))
    books(tmp_path / "run", Mark(f"{A}:0", "accepted", env_steps=64), clock=128)

    with pytest.raises(AssertionError, match="64 env steps"):
        judge(tmp_path / "j", tmp_path / "run").must_balance()
