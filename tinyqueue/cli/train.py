"""``tinyqueue train``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import cast

import click

from tinyqueue.cli.endings import document, say_outcome
from tinyqueue.cli.experiments import configured, find_document, new_run, open_run
from tinyqueue.cli.logs import log_to_file
from tinyqueue.errors import ConfigError
from tinyqueue.experiment import Experiment
from tinyqueue.learner.run_directory import RunDirectory
from tinyqueue.local.services import Choice
from tinyqueue.local.train import Where
from tinyqueue.local.train import train as train_here
from tinyqueue.monitor.live import open_view
from tinyqueue.settings import load_settings


@click.command()
@click.argument("target", required=False, metavar="ENVIRONMENT|PRESET|FILE.toml")
@click.option("--players", type=click.IntRange(0), help="Player processes on this machine; 0 leaves playing to workers elsewhere. Default: one per core, 2 to 8.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), help="Run seed; bit-reproducible with --serial.")
@click.option("--stop-at-return", type=float, metavar="R", help="Level: greedy mean of 100 games. Default: the environment's own threshold.")  # fmt: skip
@click.option("--max-env-steps", type=click.IntRange(1), metavar="N", help="End after this many env steps at the latest.")  # fmt: skip
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting: algorithm.learning_rate=0.001. Repeatable.")  # fmt: skip
@click.option("--broker", type=click.Choice(["auto", "embedded", "rabbitmq", "configured"]), default="auto", show_default=True, help="auto: TINYQUEUE_BROKER_URL and TINYQUEUE_REDIS_URL if one is set, else an embedded Redis. rabbitmq: a private RabbitMQ node.")  # fmt: skip
@click.option("--serial", is_flag=True, help="All in one process, without a broker: for debugging and as a reference.")  # fmt: skip
@click.option("--resume", type=click.Path(path_type=Path), metavar="RUN", help="Go on with a run directory.")  # fmt: skip
@click.option("--runs-dir", type=click.Path(path_type=Path), help="Where run directories are made. Default: ./runs.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object on stdout.")  # fmt: skip
def train(
    target: str | None,
    players: int | None,
    seed: int | None,
    stop_at_return: float | None,
    max_env_steps: int | None,
    assignments: tuple[str, ...],
    broker: str,
    serial: bool,
    resume: Path | None,
    runs_dir: Path | None,
    as_json: bool,
) -> None:
    """Train an environment, a preset or an experiment file to its level.

    Starts what it needs on this machine: broker and store, players, and the learner, and ends
    all of it again. Everything worth keeping is in the run directory.

    \b
    tinyqueue train CartPole-v1
    tinyqueue train config/experiments/cartpole-a3c.toml --players 4
    tinyqueue train Acrobot-v1 --max-env-steps 2000000 --set algorithm.gamma=0.99
    """
    settings = load_settings()
    options = {
        "seed": seed,
        "stop_at_return": stop_at_return,
        "max_env_steps": max_env_steps,
    }
    run, experiment, source = _run_of(target, resume, runs_dir or settings.runs_dir, assignments, options)  # fmt: skip
    where = Where(cast(Choice, broker), players if players is not None else _default_players(), serial)
    view = open_view()
    view.message(f"{experiment.environment.id} with {experiment.algorithm_name}, from {source}")
    try:
        log_to_file(run.path / "learner.log")
        outcome = train_here(experiment, run, settings, view, where)
        view.stop()
        if as_json:
            click.echo(json.dumps(document(outcome, run.path)))
        else:
            say_outcome(outcome, run.path)
    finally:
        view.stop()
        run.close()


def _run_of(
    target: str | None,
    resume: Path | None,
    runs: Path,
    assignments: tuple[str, ...],
    options: dict[str, int | float | None],
) -> tuple[RunDirectory, Experiment, str]:
    if resume is not None:
        if target is not None:
            raise ConfigError("give either something to train or --resume RUN, not both.")
        run, experiment = open_run(resume, assignments)
        return run, experiment, str(resume)
    if target is None:
        raise ConfigError(
            "nothing to train: name an environment, such as CartPole-v1, a preset or a TOML file; "
            "`tinyqueue presets` lists presets."
        )
    found, source = find_document(target)
    experiment = configured(found, assignments, **options)  # type: ignore[arg-type]
    return new_run(runs, experiment), experiment, source


def _default_players() -> int:
    return min(8, max(2, os.cpu_count() or 2))
