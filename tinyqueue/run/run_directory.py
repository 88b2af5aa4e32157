"""``runs/<experiment>/<number>/``: what a run leaves on disk, and the numbers it must never reuse.

Weight versions and epochs are reserved here, on disk, before they are used. So they never
decrease, even if the store is lost or emptied.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from tinyqueue.data.identity import EXPERIMENT_PATTERN, new_id
from tinyqueue.errors import DiskFullError, RunDirectoryError
from tinyqueue.experiment.components import DEFAULTS, chosen, located
from tinyqueue.experiment.file_names import file_of
from tinyqueue.run.durable_files import has_no_room, replace_file
from tinyqueue.run.json_text import json_document
from tinyqueue.run.kept_code import Copies, changes, copies, further_copies, relative
from tinyqueue.run.line_file import LineFile
from tinyqueue.run.numbered_folders import appear, numbers, rename_to_next_number
from tinyqueue.run.outcome import OUTCOME
from tinyqueue.run.run_lock import RunLock
from tinyqueue.run.toml_text import toml_text

Stream = Literal["metrics", "episodes", "evaluations"]
SCHEMA = 1
BLOCK = 1000
"""Versions reserved at a time: one fsync of about 1 ms per thousand publishes."""


class RunDirectory:
    """The folder of one run, locked against other learners until :meth:`close`.

    Use :meth:`create` or :meth:`open`. All methods are thread-safe.
    """

    def __init__(
        self,
        path: Path,
        lock: RunLock,
        state: dict[str, Any],
        *,
        made: Sequence[Path] | None = None,
    ) -> None:
        self.path = path
        self._made = made
        """Parent folders created with it, innermost first; None for a run from earlier."""
        self._lock = lock
        self._state = state
        self._mutex = Lock()
        self._streams: dict[str, LineFile] = {}
        self._taken: Copies | None = None

    @classmethod
    def create(
        cls, root: Path, document: Mapping[str, Any], info: Mapping[str, Any]
    ) -> RunDirectory:
        """Creates the run with the next free number.

        It appears complete or not at all, with copies of the user's own files that the experiment
        names.

        Args:
            root: The folder of all runs.
            document: The effective experiment; its ``name`` names the folder.
            info: Versions, spaces, host, seeds: anything that JSON can express.

        Raises:
            RunDirectoryError: It cannot be written, or the name is not valid.
            ConfigError: A file that the experiment names cannot be copied.
        """
        name = document["name"]
        if not EXPERIMENT_PATTERN.fullmatch(name):
            raise RunDirectoryError(f"{name!r} is not an experiment name; no run was created.")
        parent = root / name
        made = [folder for folder in (parent, *parent.parents) if not folder.exists()]
        kept = copies(document)
        state = {
            "schema": SCHEMA,
            "run": new_id(),
            "experiment": name,
            "created_s": round(time.time(), 3),
            "reserved_versions": 0,
            "epoch": 0,
            "info": dict(info),
            "originals": kept.originals,
        }
        try:
            files = {
                "experiment.toml": toml_text(kept.document).encode(),
                "run.json": json_document(state),
                **kept.files,
            }
            path, lock = appear(parent, files)
        except OSError as error:
            raise RunDirectoryError(
                f"no run directory can be created in {parent}: {error.strerror}. {_remedy(error)}"
            ) from error
        return cls(path, lock, state, made=made)

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """Opens and locks an existing run.

        Raises:
            RunDirectoryError: There is none, it is damaged or in use, or it has another schema.
        """
        if not (path / "run.json").is_file():
            raise RunDirectoryError(
                f"{path} is not a run directory: it holds no run.json. "
                "Give a folder such as runs/<experiment>/<number>."
            )
        lock = RunLock(path)
        try:
            return cls(path, lock, _read_state(path))
        except BaseException:
            lock.release()
            raise

    @staticmethod
    def newest(root: Path, experiment: str) -> Path | None:
        """The folder of the run with the highest number; None if the experiment has no run."""
        known = numbers(root / experiment)
        return root / experiment / str(max(known)) if known else None

    @property
    def is_new(self) -> bool:
        """Whether this process created it."""
        return self._made is not None

    @property
    def run_id(self) -> str:
        """The run's unique id."""
        return str(self._state["run"])

    @property
    def epoch(self) -> int:
        """The highest epoch reserved so far; 0 before the first."""
        return int(self._state["epoch"])

    def document(self) -> dict[str, Any]:
        """The effective experiment, as plain tables.

        The user's own files in it are the run's copies, as absolute paths.

        Raises:
            RunDirectoryError: The file cannot be read.
        """
        try:
            document = tomllib.loads((self.path / "experiment.toml").read_text())
            return located(document, self.path)
        except (OSError, ValueError) as error:
            raise RunDirectoryError(
                f"{self.path / 'experiment.toml'} cannot be read ({error}). "
                "Restore it, or start a new run."
            ) from error

    def keep_document(self, document: Mapping[str, Any]) -> None:
        """Replaces the effective experiment, for instance when open settings have been chosen.

        Raises:
            RunDirectoryError: It cannot be written.
        """
        path = self.path / "experiment.toml"
        try:
            replace_file(path, toml_text(relative(document, self.path)).encode())
        except OSError as error:
            raise RunDirectoryError(
                f"{path} cannot be written: {error.strerror}. Free disk space, then start again."
            ) from error

    def rename(self, document: Mapping[str, Any]) -> None:
        """Moves a run that has not begun to another experiment's folder, under a number of that.

        Open files stay open. :attr:`path` changes, and with it the paths in :meth:`document`.

        Args:
            document: The effective experiment; its ``name`` names the folder.

        Raises:
            RunDirectoryError: It cannot be moved or written.
        """
        former, name = self.path.parent, document["name"]
        parent = former.with_name(name)
        made = [] if parent.exists() else [parent]
        self.keep_document(document)
        with self._mutex:
            self._write({"experiment": name})
            try:
                parent.mkdir(exist_ok=True)
                self.path = rename_to_next_number(self.path, parent)
            except OSError as error:
                raise RunDirectoryError(
                    f"{self.path} cannot be moved to {parent}: {error.strerror}."
                ) from error
        others = [folder for folder in self._made or () if folder != former]
        if self._made is not None:
            self._made = [*made, *others]
        with contextlib.suppress(OSError):
            former.rmdir()  # Refused unless it is empty.

    def changed_code(self, names: Collection[str]) -> list[str]:
        """A sentence for every file of the user that has changed since the run began.

        Args:
            names: Names of the algorithm and model in use; others are ignored.
        """
        return changes(self.document(), self._state.get("originals", {}), names)

    def take_code(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Copies files that another algorithm or model is in; :meth:`keep_taken` makes them last.

        Args:
            document: The experiment to go on with, with absolute paths.

        Returns:
            The experiment with the copies in their place; unchanged if no other file is named.

        Raises:
            ConfigError: A file cannot be read.
            RunDirectoryError: A copy cannot be written.
        """
        before = self.document()
        if all(
            chosen(document, kind) == chosen(before, kind)
            or file_of(chosen(document, kind)) is None
            for kind in DEFAULTS
        ):
            return dict(document)
        taken = further_copies(document, self.path)
        try:
            for name, content in taken.files.items():
                path = self.path / name
                path.parent.mkdir(parents=True, exist_ok=True)
                replace_file(path, content)
        except OSError as error:
            raise RunDirectoryError(
                f"{path} cannot be written: {error.strerror}. Free disk space, then start again."
            ) from error
        self._taken = taken
        return taken.document

    def keep_taken(self) -> None:
        """From now on the run is resumed with what :meth:`take_code` took, if anything.

        Call it once a checkpoint has been restored: code that does not fit is not kept.

        Raises:
            DiskFullError, RunDirectoryError: It cannot be written.
        """
        if self._taken is None:
            return
        tables = {key: self._taken.document.get(key) for key in (*DEFAULTS, "replay")}
        document = {**self.document(), **tables}
        self.keep_document({key: table for key, table in document.items() if table is not None})
        with self._mutex:
            originals = {**self._state.get("originals", {}), **self._taken.originals}
            self._write({"originals": originals})
        self._taken = None

    def info(self) -> dict[str, Any]:
        """The ``info`` given to :meth:`create`."""
        return dict(self._state["info"])

    def reserve_versions(self, at_least: int) -> range:
        """Reserves a block of unused weight versions; it is on disk before the return.

        Args:
            at_least: The lowest acceptable version: one above the head in the store.

        Raises:
            DiskFullError: The disk is full. Nothing was reserved.
            RunDirectoryError: The disk failed. Nothing was reserved.
        """
        with self._mutex:
            start = max(int(self._state["reserved_versions"]), at_least)
            self._write({"reserved_versions": start + BLOCK})
        return range(start, start + BLOCK)

    def reserve_epoch(self, at_least: int) -> int:
        """Reserves an epoch above all earlier ones, and at least ``at_least``; on disk first.

        Raises:
            DiskFullError, RunDirectoryError: As in :meth:`reserve_versions`.
        """
        with self._mutex:
            epoch = max(self.epoch + 1, at_least)
            self._write({"epoch": epoch})
        return epoch

    def goes_on(self) -> None:
        """Deletes the outcome of an earlier start: the run has not ended since."""
        with contextlib.suppress(OSError):
            (self.path / OUTCOME).unlink(missing_ok=True)

    @property
    def is_taken(self) -> bool:
        """Whether another process has reserved an epoch here since, despite the lock."""
        with contextlib.suppress(RunDirectoryError):
            return int(_read_state(self.path)["epoch"]) != self.epoch
        return False

    def append(self, stream: Stream, *rows: Mapping[str, Any]) -> None:
        """Appends lines to ``<stream>.jsonl`` in one write; NaN and infinities become null.

        While the disk is full they wait in memory, see :class:`LineFile`.

        Raises:
            RunDirectoryError: The disk failed; the file is unchanged.
        """
        with self._mutex:
            if stream not in self._streams:
                self._streams[stream] = LineFile(self.path / f"{stream}.jsonl")
            self._streams[stream].append(rows)

    def discard_unless_begun(self) -> None:
        """Deletes a run created by this process that never reserved an epoch.

        The parent folders created for it go too.

        A restart resumes the newest run, which should not be one whose settings were rejected. A
        run from earlier is left alone, whatever it holds.
        """
        if self._made is not None and self.epoch == 0:
            # Renamed first, so that an interrupted deletion leaves a draft and not a run.
            gone = self.path.with_name(f".new-{self.run_id[:12]}")
            with contextlib.suppress(OSError):
                self.path.rename(gone)
                shutil.rmtree(gone, ignore_errors=True)
                for folder in self._made:
                    folder.rmdir()  # Refused unless it is empty.

    def close(self) -> None:
        """Closes all files and releases the lock."""
        with self._mutex:
            for file in self._streams.values():
                file.close()
            self._streams.clear()
            self._lock.release()

    def _write(self, changes: Mapping[str, Any]) -> None:
        state = {**self._state, **changes}
        try:
            replace_file(self.path / "run.json", json_document(state))
        except OSError as error:
            kind = DiskFullError if has_no_room(error) else RunDirectoryError
            raise kind(
                f"{self.path / 'run.json'} cannot be written: {error.strerror}. Nothing was "
                "reserved. Free disk space, then start or resume the run again."
            ) from error
        self._state = state


def _remedy(error: OSError) -> str:
    folder = "a folder that you may write to, with --runs-dir or TINYQUEUE_RUNS_DIR."
    return f"Free disk space, or name {folder}" if has_no_room(error) else f"Name {folder}"


def _read_state(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads((path / "run.json").read_bytes())
        schema = state["schema"]
        if schema == SCHEMA:
            for key in ("reserved_versions", "epoch"):
                state[key] = int(state[key])
            if not (isinstance(state["run"], str) and isinstance(state["info"], dict)):
                raise ValueError("run or info is of another type")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunDirectoryError(
            f"{path / 'run.json'} is damaged ({error!r}). Restore it, or start a new run: "
            "without it versions could be assigned twice."
        ) from error
    if schema != SCHEMA:
        raise RunDirectoryError(
            f"{path} has schema {schema!r}; this tinyqueue reads {SCHEMA}. "
            "Resume it with the tinyqueue that created it, or start a new run."
        )
    return state
