"""Given the files of a run: a table that is short, and keeps every evaluation."""

from __future__ import annotations

import csv
import importlib
import json

import pytest
from click.testing import CliRunner


@pytest.fixture
def curve_table():
    return importlib.import_module("curve_table")


@pytest.mark.parametrize("count", [119, 500])
def test_evaluations_stand_among_some_rows_of_metrics(curve_table, tmp_path, count):
    metrics = [{"time_s": n / 2, "env_steps": 10 * n, "return_mean": None} for n in range(count)]
    evaluations = [{"time_s": 100.25, "env_steps": 504, "return_mean": 18.123456, "episodes": 30}]
    for name, rows in (("metrics", metrics), ("evaluations", evaluations)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        # And a last line that was cut off
        (tmp_path / f"{name}.jsonl").write_text(text + '{"time_s": 3')
    out = tmp_path / "curve.csv"

    said = CliRunner().invoke(curve_table.main, [str(out), f"one={tmp_path}"])

    assert said.exit_code == 0, said.output
    table = list(csv.DictReader(out.read_text().splitlines()))
    steps = [int(row["env_steps"]) for row in table]
    assert curve_table.ROWS / 2 < len(table) <= curve_table.ROWS + 2
    assert steps == sorted(set(steps))
    assert steps[-1] == 10 * (count - 1)
    assert [row for row in table if row["greedy_mean"]] == [
        {"run": "one", "time_s": "100.2", "env_steps": "504", "greedy_mean": "18.12"}
    ]


def test_a_run_without_a_name_is_refused(curve_table, tmp_path):
    said = CliRunner().invoke(curve_table.main, [str(tmp_path / "c.csv"), "runs/pole/1"])
    assert said.exit_code == 2
    assert "NAME=RUN" in said.output
