"""Names are constants, written once, and the page repeats them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tinyqueue.monitor.metrics import FILES, EpisodeColumn, EvaluationField, Metric, Name

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


@pytest.mark.parametrize("file", FILES)
def test_the_page_lists_every_name_of_a_file_in_order_with_unit_and_meaning(file: str) -> None:
    section = PAGE.read_text().split(f"\n## {file}\n")[1].split("\n## ")[0]

    rows = [line for line in section.splitlines() if line.startswith("| `")]

    assert rows == [f"| `{name}` | {name.unit} | {name.meaning} |" for name in FILES[file]]


def test_the_page_has_tables_for_these_files_only() -> None:
    headings = [line for line in PAGE.read_text().splitlines() if line.startswith("## ")]

    assert [h for h in headings if h.endswith(".jsonl")] == [
        "## metrics.jsonl",
        "## episodes.jsonl",
        "## evaluations.jsonl",
    ]


def test_a_name_is_a_json_key_as_it_is() -> None:
    assert json.dumps({Metric.ENV_STEPS: 3, "plain": 4}) == '{"env_steps": 3, "plain": 4}'
    assert {"loss": 1.5}[Metric.LOSS] == 1.5


@pytest.mark.parametrize("names", [Metric, EpisodeColumn, EvaluationField])
def test_names_are_unique_and_described(names: type[Name]) -> None:
    assert len(names.__members__) == len(list(names)) > 3
    for name in names:
        assert name.unit
        assert (
            name.meaning[0].isupper() or name.meaning[0].isdigit() or name.meaning.startswith("ln")
        )
        assert name.meaning.endswith(".")
