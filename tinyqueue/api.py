"""``tinyqueue.train``: the command of that name, for a program."""

from __future__ import annotations

import json
from pathlib import Path

from tinyqueue.cli.allowing import allowing
from tinyqueue.cli.experiments import configured, find_document, new_run
from tinyqueue.learner.outcome import Outcome
from tinyqueue.local.services import Choice
from tinyqueue.local.train import Where
from tinyqueue.local.train import train as train_here
from tinyqueue.monitor.live import open_view
from tinyqueue.settings import load_settings


def train(
    target: str,
    *,
    players: int = 2,
    serial: bool = False,
    broker: Choice = "auto",
    runs_dir: Path | None = None,
    settings: dict[str, object] | None = None,
    seed: int | None = None,
    stop_at_return: float | None = None,
    max_env_steps: int | None = None,
) -> tuple[Path, Outcome]:
    """Trains on this machine and returns the run directory and how it ended.

    Args:
        target: An environment id, a preset, or the path of an experiment file.
        players: Player processes.
        serial: All in this process, without a broker.
        broker: ``auto``, ``embedded``, ``rabbitmq`` or ``configured``.
        runs_dir: Where the run directory is made.
        settings: ``{"algorithm.learning_rate": 1e-3}``.
        seed, stop_at_return, max_env_steps: As the options of ``tinyqueue train``.

    Raises:
        TinyqueueError: The experiment or the services cannot be used.
    """
    environment = load_settings()
    assignments = tuple(f"{key}={_toml(value)}" for key, value in (settings or {}).items())
    experiment = configured(
        find_document(target)[0],
        assignments,
        seed=seed,
        stop_at_return=stop_at_return,
        max_env_steps=max_env_steps,
    )
    environment = allowing(environment, experiment.environment.id)
    run = new_run(runs_dir or environment.runs_dir, experiment, environment.environment_modules)
    view = open_view()
    try:
        where = Where(broker, players, serial)
        return run.path, train_here(experiment, run, environment, view, where)
    finally:
        view.stop()
        run.close()


def _toml(value: object) -> str:
    """The value as ``--set`` takes it: TOML, of which JSON's scalars and lists are a part."""
    return json.dumps(value)
