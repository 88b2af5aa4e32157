"""``tinyqueue train``."""

from __future__ import annotations

import os
import sys
from typing import cast

import click

from tinyqueue.cli.allowed import allowing
from tinyqueue.cli.endings import tell
from tinyqueue.cli.experiments import as_trained, headline
from tinyqueue.cli.interrupted import saying_what_is_kept
from tinyqueue.cli.logs import log_to_file
from tinyqueue.cli.options import Wanted, takes_experiment
from tinyqueue.cli.output import json_option
from tinyqueue.cli.runs import naming_modules
from tinyqueue.cli.views import led_aside, view_beside
from tinyqueue.errors import ConfigError
from tinyqueue.local.services import Choice, resolve
from tinyqueue.local.train import Where
from tinyqueue.local.train import train as train_here
from tinyqueue.settings import load_settings


@click.command()
@takes_experiment
@click.option(
    "--players",
    type=click.IntRange(0),
    help="Player processes on this machine; 0 leaves playing to workers elsewhere. "
    "Default: one per core, 2 to 8.",
)
@click.option(
    "--broker",
    type=click.Choice(["auto", "embedded", "rabbitmq", "configured"]),
    default="auto",
    show_default=True,
    help="auto: TINYQUEUE_BROKER_URL and TINYQUEUE_REDIS_URL if one is set, else an embedded "
    "Redis. rabbitmq: a private RabbitMQ node.",
)
@click.option(
    "--serial",
    is_flag=True,
    help="Everything in one process, without a broker: for debugging and as a reference.",
)
@json_option("Print the result as one JSON object.")
def train(wanted: Wanted, players: int | None, broker: str, serial: bool, as_json: bool) -> None:
    """Train an environment, a preset or an experiment file to its level.

    Starts what it needs on this machine, broker and store, players, and the learner, and ends
    all of it afterwards. Everything worth keeping is in the run directory.

    \b
    tinyqueue train CartPole-v1
    tinyqueue train my_module:MyEnvironment-v0
    tinyqueue train config/experiments/cartpole-a3c.toml --players 4
    tinyqueue train Acrobot-v1 --max-env-steps 2000000 --set algorithm.gamma=0.99
    """
    settings = load_settings()
    chosen = resolve(cast(Choice, broker), settings)
    if players == 0 and not serial and chosen != "configured":
        raise ConfigError(
            "--players 0 leaves playing to workers elsewhere, but they cannot reach services that "
            "are private to this command. Set TINYQUEUE_BROKER_URL and TINYQUEUE_REDIS_URL, or let "
            "players run here."
        )
    if wanted.resume is not None:
        run, experiment, source = wanted.resumed()
        settings = allowing(settings, experiment.environment.id)
    else:
        experiment, source = wanted.experiment()
        settings = allowing(settings, experiment.environment.id)
        run, experiment = wanted.new_run(settings, experiment)
    where = Where(chosen, players if players is not None else _default_players(), serial)
    view = view_beside(as_json)
    view.message(headline(experiment, source))
    try:
        log_to_file(run.path / "learner.log")
        with led_aside(run.path / "learner.log", serial):
            with naming_modules(run.path), saying_what_is_kept(lambda: run.path):
                outcome = train_here(experiment, run, settings, view, where)
            view.stop()
        resume = resume_command(players, broker, serial)
        tell(outcome, run.path, as_trained(experiment, run.path), resume=resume, as_json=as_json)
    finally:
        view.stop()
        run.close()
    if outcome.ended == "failed":
        sys.exit(1)


def resume_command(players: int | None, broker: str, serial: bool) -> list[str]:
    """The command that resumes a run with the same layout."""
    words = ["tinyqueue", "train"]
    words += [] if players is None else ["--players", str(players)]
    words += [] if broker == "auto" else ["--broker", broker]
    words += ["--serial"] if serial else []
    return [*words, "--resume"]


def _default_players() -> int:
    return min(8, max(2, os.cpu_count() or 2))
