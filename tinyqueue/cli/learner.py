"""``tinyqueue learner start|status|stop``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from tinyqueue.cli.endings import document, say_outcome
from tinyqueue.cli.experiments import configured, find_document, new_run, open_run
from tinyqueue.cli.logs import log_to_stderr
from tinyqueue.errors import ConfigError
from tinyqueue.experiment import Experiment
from tinyqueue.learner.run_directory import RunDirectory
from tinyqueue.local.services import Choice
from tinyqueue.local.train import Where
from tinyqueue.local.train import train as train_here
from tinyqueue.monitor.live import open_view
from tinyqueue.settings import load_settings
from tinyqueue.store.client import connect
from tinyqueue.store.lease import read_lease, request_stop
from tinyqueue.store.specs import SpecStore

CONFIGURED: Choice = "configured"


@click.group()
def learner() -> None:
    """Start, look at or stop a learner service.

    Broker and store come from TINYQUEUE_BROKER_URL and TINYQUEUE_REDIS_URL; without them,
    RabbitMQ and Redis on this machine.
    """


@learner.command()
@click.argument("target", metavar="FILE.toml|PRESET|ENVIRONMENT")
@click.option("--new", is_flag=True, help="Start a new run instead of going on with the newest.")
@click.option("--resume", type=click.Path(path_type=Path), metavar="RUN", help="Go on with this run directory.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), help="Seed of a new run.")
@click.option("--stop-at-return", type=float, metavar="R", help="Level: greedy mean of 100 games.")
@click.option("--max-env-steps", type=click.IntRange(1), metavar="N", help="End after this many env steps.")  # fmt: skip
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting. Repeatable.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def start(
    target: str,
    new: bool,
    resume: Path | None,
    seed: int | None,
    stop_at_return: float | None,
    max_env_steps: int | None,
    assignments: tuple[str, ...],
    as_json: bool,
) -> None:
    """Train an experiment with the players of a broker, in the foreground.

    Goes on with the experiment's newest run. Players are Celery workers, on any machine, that
    were started before or come later: celery -A tinyqueue worker -Q play
    """
    settings = load_settings()
    log_to_stderr()
    found, source = find_document(target)
    experiment = configured(
        found,
        assignments,
        seed=seed,
        stop_at_return=stop_at_return,
        max_env_steps=max_env_steps,
    )
    run, experiment = _run_of(settings.runs_dir, experiment, new, resume)
    view = open_view()
    view.message(f"{experiment.environment.id} with {experiment.algorithm_name}, from {source}; {run.path}")  # fmt: skip
    try:
        where = Where(CONFIGURED, players=0)
        outcome = train_here(experiment, run, settings, view, where)
        view.stop()
        if as_json:
            click.echo(json.dumps(document(outcome, run.path)))
        else:
            say_outcome(outcome, run.path)
    finally:
        view.stop()
        run.close()


@learner.command()
@click.argument("experiment", required=False)
@click.option("--json", "as_json", is_flag=True, help="As a JSON object: experiment → learner.")
def status(experiment: str | None, as_json: bool) -> None:
    """Show which learner trains EXPERIMENT, or every experiment."""
    redis = connect(load_settings().redis)
    names = [experiment] if experiment else SpecStore(redis).experiments()
    leases = {name: read_lease(redis, name) for name in names}
    if as_json:
        found = {n: vars(lease) if lease else None for n, lease in leases.items()}
        click.echo(json.dumps(found))
        return
    if not leases:
        click.echo("no experiment is known here. Start one with: tinyqueue learner start FILE.toml")
    for name, lease in leases.items():
        click.echo(f"{name}: {lease if lease else 'no learner'}")


@learner.command()
@click.argument("experiment")
def stop(experiment: str) -> None:
    """Ask the learner of EXPERIMENT to save and end, wherever it runs."""
    asked = request_stop(connect(load_settings().redis), experiment)
    if asked is None:
        raise ConfigError(f"no learner trains {experiment!r}; `tinyqueue info` lists experiments.")
    click.echo(f"asked {asked} to stop; it saves a checkpoint and ends within seconds.")


def _run_of(
    runs: Path, experiment: Experiment, new: bool, resume: Path | None
) -> tuple[RunDirectory, Experiment]:
    if resume is not None:
        return open_run(resume)
    newest = None if new else RunDirectory.newest(runs, experiment.name)
    if newest is None:
        return new_run(runs, experiment), experiment
    run = RunDirectory.open(newest)
    if run.document() != experiment.document():
        run.close()
        raise ConfigError(
            f"{newest} was started with other settings than are given now. "
            f"Go on with it as it is by --resume {newest}, or start a new run with --new."
        )
    return run, experiment
