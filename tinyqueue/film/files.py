"""Where films go: under the next free number in a folder, complete or not at all."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinyqueue.errors import FilmError

_DRAFT = ".film-"


@contextmanager
def draft_folder(out: Path) -> Iterator[Path]:
    """A hidden folder in ``out``, until the end of the block.

    ``out`` is created if missing, and kept if anything is published to it.

    Raises:
        FilmError: ``out`` cannot be written to.
    """
    is_new = not out.exists()
    draft = out / f"{_DRAFT}{secrets.token_hex(4)}"
    try:
        draft.mkdir(parents=True)
    except OSError as error:
        raise FilmError(
            f"no film can be written to {out}: {error.strerror}. Give another --out."
        ) from error
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if is_new:
            with contextlib.suppress(OSError):
                out.rmdir()  # Refused unless it is empty.


def publish(drafts: list[Path], out: Path, name: str) -> list[Path]:
    """Moves finished files to ``<out>/<name>-<number><suffix>``, all with the same number.

    The number is the first, from 1, for which no file with any of the suffixes exists. Existing
    files are never replaced, even if another process films into the same folder.

    Args:
        drafts: Files on the same file system, with different suffixes.
        out: The folder.
        name: The beginning of their names.

    Raises:
        FilmError: They cannot be moved there.
    """
    number = 1
    while True:
        paths = [out / f"{name}-{number}{draft.suffix}" for draft in drafts]
        try:
            if _claimed(paths):
                for draft, path in zip(drafts, paths, strict=True):
                    draft.replace(path)
                return paths
        except OSError as error:
            raise FilmError(
                f"the film cannot be moved to {paths[0]}: {error.strerror}. Give another --out."
            ) from error
        number += 1


def _claimed(paths: list[Path]) -> bool:
    """Creates all of these files, empty, or none of them."""
    made: list[Path] = []
    try:
        for path in paths:
            path.open("xb").close()
            made.append(path)
    except BaseException as error:
        for path in made:
            with contextlib.suppress(OSError):
                path.unlink()
        if isinstance(error, FileExistsError):
            return False
        raise
    return True
