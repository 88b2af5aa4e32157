"""What a person writes about a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinyqueue.errors import ConfigError, RunDirectoryError
from tinyqueue.run.notes import add_note, brief_note, checked_note


def test_notes_are_appended_under_their_times(tmp_path: Path) -> None:
    add_note(tmp_path, " reward without the bonus ", at_s=0.0)
    add_note(tmp_path, "again, with a lower rate\n\n* 3e-4", at_s=86_400.0)

    assert (tmp_path / "notes.md").read_text() == (
        "## 1970-01-01 00:00:00 UTC\n\nreward without the bonus\n\n"
        "## 1970-01-02 00:00:00 UTC\n\nagain, with a lower rate\n\n* 3e-4\n"
    )


def test_the_newest_note_is_shown_by_its_first_line(tmp_path: Path) -> None:
    assert brief_note(tmp_path) == ""

    add_note(tmp_path, "first")
    add_note(tmp_path, "# second\nwith more")

    assert brief_note(tmp_path) == "second"


def test_a_long_or_strange_line_is_cut_and_made_printable(tmp_path: Path) -> None:
    add_note(tmp_path, "a\x1b[31mred" + "x" * 100)

    shown = brief_note(tmp_path)

    assert len(shown) == 72
    assert shown.endswith("x…")
    assert shown.isprintable()


def test_a_file_without_our_headings_is_shown_by_its_first_line(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_bytes(b"\n\n- by hand \xff\nmore")

    assert brief_note(tmp_path).startswith("by hand")


@pytest.mark.parametrize("text", ["", " \n", "x" * 20_001])
def test_a_note_that_says_nothing_or_a_book_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the note"):
        checked_note(text)
    with pytest.raises(ConfigError):
        add_note(tmp_path, text)
    assert not (tmp_path / "notes.md").exists()


def test_a_note_that_cannot_be_written_is_said_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match=r"notes\.md cannot be written: No such file"):
        add_note(tmp_path / "gone", "text")
