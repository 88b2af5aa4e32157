"""Algorithms and models that users bring: ``path/to/file.py:Name``, and entry points of packages.

Loading one runs its code. Only the two registries do, and only for a name that the learner's own
user wrote: in an experiment file, a run directory or ``--set``. Nothing that comes over the network
names a file, and players load none.
"""

from __future__ import annotations

import difflib
import hashlib
import sys
import traceback
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from tinyqueue.errors import ConfigError, UnknownNameError
from tinyqueue.experiment.file_names import file_of


def brought(kind: str, name: str, known: Iterable[str]) -> tuple[object, str]:
    """Loads what a name refers to, if it is not part of tinyqueue.

    Args:
        kind: ``algorithm`` or ``model``; entry points are of the group ``tinyqueue.algorithms``
            or ``tinyqueue.models``.
        name: The name as the user wrote it.
        known: Names that are part of tinyqueue, to suggest.

    Returns:
        The object that was loaded, and where it comes from, for errors.

    Raises:
        UnknownNameError: There is no such file, name in it, or entry point.
        ConfigError: It cannot be read, or does not import; the text has the user's traceback.
    """
    found = file_of(name)
    if found is not None:
        return _of_file(kind, *found), name
    points = {point.name: point for point in entry_points(group=f"tinyqueue.{kind}s")}
    if name not in points:
        every = [*known, *points]
        if ":" in name:
            raise ConfigError(
                f"unknown {kind} {name!r}. One in a file of yours is named with the file's "
                f"ending, as in {name.partition(':')[0]}.py:{name.partition(':')[2] or 'NAME'}; "
                f"others are {', '.join(sorted(every))}."
            )
        advice = "If a package of yours brings it, install that package here too."
        raise UnknownNameError(kind, name, every, advice=advice)
    return _of_entry_point(kind, points[name])


def _of_file(kind: str, path: Path, name: str) -> object:
    if not name:
        raise ConfigError(
            f"{kind}.name = '{path}' says which file, but not which {kind} in it. "
            f"Write {path}:NAME."
        )
    module = _module(kind, path)
    if not hasattr(module, name):
        own = [key for key, value in vars(module).items() if _is_own(value, module)]
        if not own:
            raise ConfigError(f"{path} has no {name!r}: it defines no class and no function.")
        raise UnknownNameError(f"{kind} in {path}:", name, own)
    return getattr(module, name)


def _is_own(value: object, module: ModuleType) -> bool:
    return callable(value) and getattr(value, "__module__", None) == module.__name__


def _module(kind: str, path: Path) -> ModuleType:
    """The module of a file. The same file, or a copy of it, is executed once in a process."""
    try:
        source = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the file of {kind}.name, {path}, cannot be read: {error.strerror}.{_nearest(path)}"
        ) from None
    name = f"{path.stem}-{hashlib.sha256(source).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # Dataclasses look up their module by name.
    try:
        exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ConfigError(
            f"{path}, the file of {kind}.name, does not import.{_advice(error, path)}\n"
            f"{_own_traceback(error, path)}"
        ) from None
    return module


def _nearest(path: Path) -> str:
    others = [other.name for other in path.parent.glob("*.py") if other.is_file()]
    near = difflib.get_close_matches(path.name, others, n=1)
    return f" Did you mean {str(path.with_name(near[0]))!r}?" if near else ""


def _advice(error: BaseException, path: Path) -> str:
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is None or not path.with_name(f"{missing.partition('.')[0]}.py").exists():
        return ""
    return (
        f" The run keeps a copy of this one file, so it cannot import {missing} from beside it. "
        "Put both into one file, or install them as a package with an entry point in the group "
        "tinyqueue.algorithms or tinyqueue.models."
    )


def _own_traceback(error: BaseException, path: Path) -> str:
    """The traceback from the user's file on, without the frames that led there."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename != str(path):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames)).rstrip()


def _of_entry_point(kind: str, point: EntryPoint) -> tuple[object, str]:
    package = f" of {point.dist.name}" if point.dist else ""
    where = f"{kind} {point.name!r} ({point.value}{package})"
    try:
        return point.load(), where
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        # A module that fails to import leaves no entry.
        if isinstance(error, AttributeError) and point.module in sys.modules:
            raise ConfigError(f"{where}: {point.module} has no {point.attr!r}.") from None
        raise _failed(where, error) from None


def _failed(where: str, error: BaseException) -> ConfigError:
    """An entry point that does not import, with the frames of its own package."""
    own = error.__traceback__
    frames = own
    while frames is not None:
        if frames.tb_frame.f_code.co_filename.startswith("<frozen importlib"):
            own = frames.tb_next or own
        frames = frames.tb_next
    text = "".join(traceback.format_exception(type(error), error, own)).rstrip()
    return ConfigError(f"{where} does not import.\n{text}")
