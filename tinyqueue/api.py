"""``tinyqueue.train``: the command of that name, for a program."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, SupportsFloat, SupportsIndex

from tinyqueue.cli.allowed import allowing
from tinyqueue.cli.experiments import chosen_for, configured, find_document, new_run
from tinyqueue.cli.logs import log_as_before
from tinyqueue.cli.views import view_beside
from tinyqueue.envs.names import split_module
from tinyqueue.envs.reentry import refuse_nested_training
from tinyqueue.experiment.values import assignments, number, whole
from tinyqueue.local.services import Choice
from tinyqueue.local.train import Where
from tinyqueue.local.train import train as train_here
from tinyqueue.run.notes import add_note, checked_note
from tinyqueue.run.outcome import Outcome
from tinyqueue.settings import load_settings


def train(  # noqa: PLR0913  # what the command takes, all but the first by name
    target: str | os.PathLike[str],
    *,
    players: SupportsIndex = 2,
    serial: bool = False,
    broker: Choice = "auto",
    runs_dir: str | os.PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: SupportsIndex | None = None,
    stop_at_return: SupportsFloat | None = None,
    max_env_steps: SupportsIndex | None = None,
    init_from: str | os.PathLike[str] | None = None,
    note: str | None = None,
) -> tuple[Path, Outcome]:
    """Trains on this machine.

    A script that registers an environment and is itself named in TINYQUEUE_ENVIRONMENT_MODULES
    must call it under ``if __name__ == "__main__":``, since players import it.

    Args:
        target: An environment id, also as ``module:id`` with the module that registers it, a
            preset, or the path of an experiment file.
        players: Number of player processes.
        serial: Everything in this process, without a broker.
        broker: ``auto``, ``embedded``, ``rabbitmq`` or ``configured``.
        runs_dir: The folder in which the run directory is created.
        settings: ``{"algorithm.learning_rate": 1e-3}``, or ``{"algorithm": {"learning_rate":
            1e-3}}``. Values may be NumPy scalars and arrays, paths, tuples, lists and tables.
        seed, stop_at_return, max_env_steps: As the options of ``tinyqueue train``.
        init_from: A run directory or sample whose weights the run starts from, where names and
            shapes agree.
        note: What the run is for, kept with the time in its ``notes.md``.

    Returns:
        The run directory, and how the run ended.

    Raises:
        TinyqueueError: The experiment or the services cannot be used; or a module that only
            registers environments calls this while it is imported.
    """
    refuse_nested_training()
    log_as_before()
    environment = load_settings()
    typed = list(assignments(settings or {}))
    module, name = split_module(os.fspath(target))
    document, source = chosen_for(*find_document(name), typed)
    experiment = configured(
        document,
        typed,
        seed=whole("seed", seed),
        stop_at_return=number("stop_at_return", stop_at_return),
        max_env_steps=whole("max_env_steps", max_env_steps),
    )
    environment = allowing(environment, experiment.environment.id, module)
    where = Where(broker, whole("players", players) or 0, bool(serial))
    runs = environment.runs_dir if runs_dir is None else Path(os.path.expanduser(runs_dir))
    if note is not None:
        checked_note(note)
    run, experiment = new_run(
        runs,
        experiment,
        environment.environment_modules,
        init_from=None if init_from is None else Path(os.path.expanduser(init_from)),
    )
    view = view_beside(as_json=False)
    try:
        if note is not None:
            add_note(run.path, note)
        if typed:
            view.message(f"{experiment.environment.id}, from {source}")
        outcome = train_here(experiment, run, environment, view, where)
        return run.path, outcome
    finally:
        view.stop()
        run.close()
