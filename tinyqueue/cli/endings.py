"""What a command says when training has ended."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import click

from tinyqueue.errors import MissingExtraError
from tinyqueue.learner.outcome import Outcome
from tinyqueue.local.process import seconds_since_exec
from tinyqueue.monitor.plots import plot_learning_curve

CURVE = Path("plots") / "learning_curve.png"


def document(outcome: Outcome, run: Path) -> dict[str, Any]:
    """The outcome as plain values, with the seconds from the command to the deciding games."""
    values = dataclasses.asdict(outcome)
    values["run_directory"] = str(run)
    values["solved_s"] = _solved_s(outcome)
    return values


def say_outcome(outcome: Outcome, run: Path) -> None:
    """Prints the result, draws the learning curve, and says what to do next."""
    took = f"{outcome.env_steps:,} env steps, {outcome.updates:,} updates, {outcome.trained_s:.1f} s of training"  # fmt: skip
    if outcome.ended == "solved":
        click.secho(f"solved: {outcome.deciding_mean:.1f} ≥ {outcome.threshold:g}, the greedy mean of {outcome.deciding_games} games", fg="green", bold=True)  # fmt: skip
        if outcome.fresh_mean is not None:
            click.echo(f"  {outcome.fresh_mean:.1f} over {outcome.fresh_games} fresh games of the same weights")  # fmt: skip
        click.echo(f"  {_solved_s(outcome):.1f} s after the command; {took}")
    else:
        said = {"max env steps": "the limit of env steps is reached", "stopped": "stopped"}
        level = f"; the level {outcome.threshold:g} is not reached" if outcome.threshold is not None else ""  # fmt: skip
        click.secho(f"{said[outcome.ended]}{level}", fg="yellow", bold=True)
        click.echo(f"  {took}")
    (run / "outcome.json").write_text(json.dumps(document(outcome, run)) + "\n")
    click.echo(f"\nrun directory: {run}")
    _draw(run)
    click.echo(
        f"next:\n"
        f"  tinyqueue evaluate {run} -n 100\n"
        f"  tinyqueue train --resume {run}\n"
        f"  tensorboard --logdir {run / 'tb'}"
    )


def _draw(run: Path) -> None:
    try:
        plot_learning_curve([run], run / CURVE)
        click.echo(f"learning curve: {run / CURVE}")
    except MissingExtraError as error:
        click.echo(f"no learning curve: {error}")


def _solved_s(outcome: Outcome) -> float | None:
    """Seconds from this process's exec to the answer of the deciding games."""
    if outcome.evaluated_at_s is None:
        return None
    return round(seconds_since_exec() - (time.time() - outcome.evaluated_at_s), 2)
