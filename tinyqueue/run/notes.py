"""What a person writes about a run: ``notes.md`` in the run directory."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from tinyqueue.errors import ConfigError, RunDirectoryError
from tinyqueue.printable import printable

FILE = "notes.md"
MOST_CHARACTERS = 20_000
_MOST_BRIEF = 72
_HEADING = re.compile(r"## \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")


def checked_note(text: str) -> str:
    """The note without space around it.

    Raises:
        ConfigError: It is empty or too long.
    """
    note = text.strip()
    if not note:
        raise ConfigError("the note is empty. Write what this run is for, or leave out --note.")
    if len(note) > MOST_CHARACTERS:
        raise ConfigError(
            f"the note has {len(note):,} characters; at most {MOST_CHARACTERS:,} are kept. Write "
            f"the rest into {FILE} in the run directory."
        )
    return note


def add_note(run: Path, text: str, *, at_s: float | None = None) -> None:
    """Appends a note under the time of now.

    Args:
        run: The run directory.
        text: The note, in Markdown.
        at_s: Unix time of the note; now if None.

    Raises:
        ConfigError: As :func:`checked_note`.
        RunDirectoryError: It cannot be written.
    """
    note = checked_note(text)
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at_s))
    path = run / FILE
    try:
        with path.open("a", encoding="utf-8") as file:
            # A file that was edited by hand may lack its last line's end.
            begin = "\n" if file.tell() else ""
            file.write(f"{begin}## {when}\n\n{note}\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise RunDirectoryError(
            f"{path} cannot be written: {error.strerror}. Free disk space or correct its "
            "permissions, or leave out --note."
        ) from error


def brief_note(run: Path) -> str:
    """The newest note in one short line that is safe to print; empty if there is none."""
    try:
        lines = (run / FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    newest = ""
    begins = True
    for line in map(str.strip, lines):
        if _HEADING.fullmatch(line):
            begins = True
        elif line and begins:
            newest, begins = line, False
    newest = printable(newest.lstrip("#-* "))
    return newest if len(newest) <= _MOST_BRIEF else f"{newest[: _MOST_BRIEF - 1]}…"
