"""The user's own files in a run directory: ``algorithm/<file>.py`` and ``model/<file>.py``.

A run continues with its own copies, whatever happens to the files that it was started with. Another
file of the same name, taken on a resume, is ``algorithm/2/<file>.py``, and so on.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from itertools import chain, count
from pathlib import Path
from typing import Any, NamedTuple

from tinyqueue.errors import ConfigError
from tinyqueue.experiment.components import DEFAULTS, chosen
from tinyqueue.experiment.file_names import file_of


class Copies(NamedTuple):
    """What a run keeps of the user's code.

    Attributes:
        document: The run's experiment. It names the copies, of a new run relative to its directory.
        files: Path in the run directory → content.
        originals: ``algorithm`` or ``model`` → path of the original file.
    """

    document: dict[str, Any]
    files: dict[str, bytes]
    originals: dict[str, str]


def copies(document: Mapping[str, Any]) -> Copies:
    """Copies of the files that an experiment names; none for components without a file.

    Raises:
        ConfigError: A file cannot be read any more.
    """
    kept = Copies(dict(document), {}, {})
    for kind, path, name in _files(document):
        copy = f"{kind}/{path.name}"
        kept.files[copy] = _content(path)
        kept.originals[kind] = str(path)
        kept.document[kind] = {**document[kind], "name": f"{copy}:{name}"}
    return kept


def further_copies(document: Mapping[str, Any], run: Path) -> Copies:
    """Copies of the files that a resumed run takes from elsewhere.

    Earlier copies stay, and one with the same content is used again.

    Args:
        document: The experiment to go on with. All paths are absolute, also in the result.
        run: The run directory.

    Raises:
        ConfigError: A file cannot be read.
    """
    kept, folder = Copies(dict(document), {}, {}), Path(os.path.abspath(run))
    for kind, path, name in _files(document):
        if path.is_relative_to(folder):
            continue
        content = _content(path)
        places = (f"{kind}/{n}/{path.name}" for n in count(2))
        copy = next(
            place
            for place in chain((f"{kind}/{path.name}",), places)
            if not (folder / place).exists() or _content(folder / place) == content
        )
        kept.files[copy] = content
        kept.originals[kind] = str(path)
        kept.document[kind] = {**document[kind], "name": f"{folder / copy}:{name}"}
    return kept


def relative(document: Mapping[str, Any], run: Path) -> dict[str, Any]:
    """The document as written to a run directory.

    The paths to its copies are relative, so that the folder can be moved.

    Args:
        document: With absolute paths.
        run: The run directory.
    """
    result, folder = dict(document), os.path.abspath(run)
    for kind, path, name in _files(document):
        if path.is_relative_to(folder):
            inner = path.relative_to(folder)
            result[kind] = {**document[kind], "name": f"{inner}:{name}"}
    return result


def changes(
    document: Mapping[str, Any], originals: Mapping[str, str], names: Collection[str]
) -> list[str]:
    """A sentence for every original that has changed since it was copied.

    A missing original, for instance on another machine, does not count as changed.

    Args:
        document: The run's experiment, with absolute paths.
        originals: As in :class:`Copies`.
        names: The components in use; others are ignored.
    """
    said = []
    for kind, path, name in _files(document):
        original = Path(originals.get(kind, ""))
        if (
            f"{path}:{name}" in names
            and original.is_file()
            and original.read_bytes() != path.read_bytes()
        ):
            said.append(
                f"{original} has changed, and the run goes on with its own copy, {path} "
                f"(--set {kind}.name={original}:{name} takes the changed one)"
            )
    return said


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be copied: {error.strerror}.") from error


def _files(document: Mapping[str, Any]) -> Iterator[tuple[str, Path, str]]:
    for kind in DEFAULTS:
        found = file_of(chosen(document, kind))
        if found is not None:
            yield kind, *found
