"""The options of every command that trains."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from tinyqueue.cli.allowed import without_module
from tinyqueue.cli.experiments import chosen_for, configured, find_document, new_run, open_run
from tinyqueue.cli.interrupted import saying_what_is_kept
from tinyqueue.cli.numbers import WholeNumber
from tinyqueue.cli.paths import UserPath
from tinyqueue.cli.runs import require_run
from tinyqueue.errors import ConfigError, TinyqueueError
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.run.notes import add_note, checked_note
from tinyqueue.run.run_directory import RunDirectory
from tinyqueue.settings import Settings

_OPTIONS = (
    click.option(
        "--seed",
        type=click.IntRange(0),
        help="Seed of a new run; serial training is bit-reproducible.",
    ),
    click.option(
        "--stop-at-return",
        type=float,
        metavar="R",
        help="Stop at this mean return of evaluation episodes. Default: the environment's own "
        "threshold.",
    ),
    click.option(
        "--max-env-steps",
        type=WholeNumber(1),
        metavar="N",
        help="Stop after at most this many env steps.",
    ),
    click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change a setting: algorithm.learning_rate=0.001. Repeatable.",
    ),
    click.option(
        "--resume",
        type=UserPath(path_type=Path),
        metavar="RUN",
        help="Resume this run directory.",
    ),
    click.option(
        "--init-from",
        type=UserPath(path_type=Path),
        metavar="RUN|SAMPLE",
        help="Start a new run from the weights of another run's newest checkpoint, or of a sample: "
        "those that agree in name and shape.",
    ),
    click.option(
        "--note",
        metavar="TEXT",
        help="What this run is for: appended with the time to notes.md in its directory.",
    ),
    click.option(
        "--runs-dir",
        type=UserPath(path_type=Path),
        help="Folder for run directories. Default: TINYQUEUE_RUNS_DIR, else ./runs.",
    ),
)


@dataclass(frozen=True)
class Wanted:
    """What a person asked to train.

    Attributes:
        target: An environment, a preset or a file; None with ``resume``.
        resume: The run directory to resume.
        runs_dir: The folder for run directories; that of the settings if None.
        changes: ``assignments``, ``seed``, ``stop_at_return``, ``max_env_steps``.
        init_from: The run or sample whose weights a new run starts from.
        note: Text to append to the run's notes; None for none.
    """

    target: str | None
    resume: Path | None
    runs_dir: Path | None
    changes: Mapping[str, Any]
    init_from: Path | None = None
    note: str | None = None

    def experiment(self) -> tuple[Experiment, str]:
        """The experiment of the target, and its source in words.

        Raises:
            ConfigError: Nothing is named, or a key or value cannot be used.
        """
        if self.target is None:
            raise ConfigError(
                "nothing to train: name an environment, such as CartPole-v1, a preset or a TOML "
                "file; `tinyqueue presets` lists presets. --resume RUN resumes a run."
            )
        document, source = find_document(self.target)
        is_file = source == os.path.expanduser(self.target)
        base, said = chosen_for(document, source, self.changes["assignments"])
        try:
            return configured(base, **self.changes), said
        except ConfigError as error:
            if is_file:
                _require_sound(document, source)
            raise error

    def new_run(
        self, settings: Settings, experiment: Experiment
    ) -> tuple[RunDirectory, Experiment]:
        """A new run directory for the experiment, and the experiment as saved there."""
        runs = self.runs_dir or settings.runs_dir
        modules = settings.environment_modules
        if self.note is not None:
            checked_note(self.note)
        run, experiment = new_run(runs, experiment, modules, init_from=self.init_from)
        self.keep_note(run)
        return run, experiment

    def resumed(self) -> tuple[RunDirectory, Experiment, str]:
        """The run to resume, its experiment, and its source in words.

        Raises:
            ConfigError: An option was given that a started run cannot change.
            RunDirectoryError: There is no such run, or it is in use.
        """
        assert self.resume is not None
        if self.target is not None:
            raise ConfigError("give either something to train or --resume RUN, not both.")
        if self.init_from is not None:
            raise ConfigError(
                "--init-from is for a new run; --resume RUN goes on with its own weights."
            )
        if self.changes["seed"] is not None:
            raise ConfigError("--seed is for a new run; --resume RUN keeps its own seed.")
        require_run(self.resume)
        run, experiment, older = open_run(self.resume, **self.changes)
        self.keep_note(run)
        return run, experiment, f"{self.resume}; {older}" if older else str(self.resume)

    def keep_note(self, run: RunDirectory) -> None:
        """Appends the note, if one was given, to the run's; the run is closed if that fails.

        Raises:
            ConfigError, RunDirectoryError: As :func:`tinyqueue.run.notes.add_note`.
        """
        if self.note is None:
            return
        try:
            add_note(run.path, self.note)
        except TinyqueueError:
            run.discard_unless_begun()
            run.close()
            raise


def _require_sound(document: dict[str, Any], source: str) -> None:
    """Returns if a file can be used as it is, so that the error must be in the options.

    Raises:
        ConfigError: It cannot; the text names the file.
    """
    try:
        configured(document)
    except ConfigError as error:
        text = f"{source}: {error}"
        raise ConfigError(text, wrote=error.wrote, instead=error.instead) from error


def takes_experiment(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the target and the options for what to train, and passes them on as ``wanted``."""

    @wraps(command)
    def wrapped(
        *,
        target: str | None,
        resume: Path | None,
        runs_dir: Path | None,
        init_from: Path | None,
        note: str | None,
        seed: int | None,
        stop_at_return: float | None,
        max_env_steps: int | None,
        assignments: tuple[str, ...],
        **others: Any,
    ) -> None:
        changes = {
            "assignments": assignments,
            "seed": seed,
            "stop_at_return": stop_at_return,
            "max_env_steps": max_env_steps,
        }
        target = target and without_module(target)
        wanted = Wanted(target, resume, runs_dir, changes, init_from, note)
        with saying_what_is_kept(lambda: resume):
            command(wanted=wanted, **others)

    metavar = "[MODULE:]ENVIRONMENT|PRESET|FILE.toml"
    argument = click.argument("target", required=False, metavar=metavar)
    for option in reversed((argument, *_OPTIONS)):
        wrapped = option(wrapped)
    return wrapped
