"""What a command prints when training has ended."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tinyqueue.cli.advised import command
from tinyqueue.cli.output import print_json, print_text
from tinyqueue.cli.resuming import resumed
from tinyqueue.cli.terminal import say
from tinyqueue.envs.names import draws_pictures
from tinyqueue.errors import (
    DiskFullError,
    MissingExtraError,
    NothingRecordedError,
    RunDirectoryError,
)
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.film.recorder import require_extra
from tinyqueue.installing import install_command
from tinyqueue.ledger.ledger import read_count
from tinyqueue.ledger.marks import Count, by_reason
from tinyqueue.local.process import seconds_since_exec
from tinyqueue.monitor.plots import plot_learning_curve
from tinyqueue.monitor.view import number
from tinyqueue.run.outcome import OUTCOME, Outcome

WORTH_RESUMING_S = 300.0
"""A failed run that trained at least this long is worth resuming, so the command is printed."""
CURVE = Path("plots") / "learning_curve.png"


def tell(
    outcome: Outcome, run: Path, experiment: Experiment, *, resume: Sequence[str], as_json: bool
) -> None:
    """Saves the outcome in the run directory, draws the learning curve, and prints the result.

    If standard output has been closed, standard error says where everything is.

    Args:
        outcome: How the run ended.
        run: The run directory.
        experiment: The experiment that was trained.
        resume: The command that resumes a run with the same layout; the run's path follows.
        as_json: Print one JSON object instead of sentences and next steps.

    Raises:
        OSError: Standard output cannot be written to.
    """
    result = document(outcome, run)
    _keep(result, run)
    nothing = outcome.ended == "failed" and not outcome.updates
    again = _resumed(outcome, run, experiment, resume)
    # What has failed is not worth training for longer.
    longer = "" if outcome.ended == "failed" else again
    drawn = "none: nothing was trained" if nothing else _draw(run, longer)
    try:
        if as_json:
            print_json(json.dumps(result))
        else:
            _print(outcome, run, experiment, result, drawn, again)
        sys.stdout.flush()
    except BrokenPipeError:
        say(f"output closed; saved in {run}; resume with: {again}")
        raise


def _print(
    outcome: Outcome,
    run: Path,
    experiment: Experiment,
    result: Mapping[str, Any],
    drawn: str,
    again: str,
) -> None:
    """The result as sentences, and what may come next."""
    colour = {"solved": "green", "failed": "red"}.get(outcome.ended, "yellow")
    first, *others = sentences(outcome, solved_s=result["solved_s"], count=_count(run))
    print_text(first, fg=colour, bold=True)
    for line in others:
        print_text(f"  {line}")
    print_text("", f"run directory: {run}", f"learning curve: {drawn}", "next:")
    for line in _next(outcome, run, experiment, again):
        print_text(f"  {line}")


def document(outcome: Outcome, run: Path) -> dict[str, Any]:
    """The outcome as plain values, with the seconds from the command to the deciding evaluation."""
    values = dataclasses.asdict(outcome)
    values["run_directory"] = str(run)
    values["solved_s"] = None
    if outcome.evaluated_at_s is not None:
        since_s = time.time() - outcome.evaluated_at_s
        values["solved_s"] = round(seconds_since_exec() - since_s, 2)
    return values


def sentences(outcome: Outcome, *, solved_s: float | None, count: Count | None) -> list[str]:
    """The result for a person, the most important first.

    Args:
        outcome: How the run ended.
        solved_s: Seconds from the command to the deciding evaluation.
        count: The count of the ledger; None for a run without one.
    """
    lines = [_ended(outcome)]
    if outcome.fresh_mean is not None:
        lines.append(
            f"{number(outcome.fresh_mean, beside=outcome.threshold)} over {outcome.fresh_games} "
            "fresh games of the same weights"
        )
    if outcome.training_mean is not None:
        episodes = outcome.training_episodes
        whose = f"of the last {episodes} training episodes" if episodes > 1 else "of one episode"
        mean = number(outcome.training_mean, beside=outcome.threshold)
        lines.append(f"{mean} is the mean return {whose}")
    lines += outcome.remarks
    if solved_s is not None:
        lines.append(f"{solved_s:.1f} s after the command")
    until = " until these weights" if outcome.ended == "solved" else ""
    lines.append(
        f"{outcome.env_steps:,} env steps, {outcome.updates:,} updates{until}, "
        f"{outcome.trained_s:.1f} s of training"
    )
    if count is not None:
        lines.append(
            f"session batches: {count.attempted:,} attempted = {count.accepted:,} accepted + "
            f"{_with_reasons(count.set_aside, 'set aside')} + "
            f"{_with_reasons(count.dropped, 'dropped')} + {count.missing:,} missing"
        )
    return [*lines, *outcome.advice]


def _with_reasons(counts: Mapping[str, int], fate: str) -> str:
    """``15 dropped (max env steps: 15)``; no reasons where there is nothing to explain."""
    told = f" ({by_reason(counts)})" if counts else ""
    return f"{sum(counts.values()):,} {fate}{told}"


def _ended(outcome: Outcome) -> str:
    if outcome.ended == "solved":
        return (
            f"solved: {_deciding(outcome)} ≥ {outcome.threshold:g}, "
            f"the {outcome.policy} mean of {outcome.deciding_games} games"
        )
    if outcome.ended == "failed":
        return f"ended: {outcome.reason}"
    said = {"max env steps": "the limit of env steps is reached", "stopped": "stopped"}
    if outcome.threshold is None:
        return said[outcome.ended]
    level = f"{said[outcome.ended]}; the level {outcome.threshold:g} is not reached"
    if outcome.deciding_mean is not None:
        return (
            f"{said[outcome.ended]}; the level {outcome.threshold:g} is not confirmed: "
            f"{outcome.deciding_games} {outcome.policy} games came to {_deciding(outcome)}, and no "
            "fresh games have been played to the end"
        )
    why = f"; the last weights were not evaluated: {outcome.reason}" if outcome.reason else ""
    if outcome.last_mean is not None:
        return (
            f"{level}: {number(outcome.last_mean, beside=outcome.threshold)}, the "
            f"{outcome.policy} mean of {outcome.last_games} games at "
            f"{outcome.last_env_steps:,} env steps{why}"
        )
    return f"{level}{why}"


def _deciding(outcome: Outcome) -> str:
    mean = math.nan if outcome.deciding_mean is None else outcome.deciding_mean
    return number(mean, beside=outcome.threshold)


def _next(outcome: Outcome, run: Path, experiment: Experiment, resume: str) -> Iterator[str]:
    """The commands that a person may want next; ``resume`` trains the run for longer."""
    how = ("--sample",) if outcome.policy == "sampled" else ()
    if outcome.updates:
        games = experiment.evaluation.episodes
        yield command("tinyqueue", "evaluate", run, "-n", games, *how)
    if outcome.updates and draws_pictures(experiment.environment.id):
        yield command("tinyqueue", "record", run, *how) + _first_for_films()
    if outcome.ended == "failed":
        logs = run / "players.log", run / "learner.log"
        yield from (shlex.join(["less", str(log)]) for log in logs if log.is_file())
        if outcome.trained_s < WORTH_RESUMING_S:
            # Resuming would fail in the same way, and little training would be lost.
            return
    yield resume
    if (run / "tb").is_dir():
        yield shlex.join(["tensorboard", "--logdir", str(run / "tb")])


def _resumed(outcome: Outcome, run: Path, experiment: Experiment, resume: Sequence[str]) -> str:
    return resumed(
        run,
        experiment,
        reached_its_limit=outcome.ended == "max env steps",
        env_steps=outcome.env_steps,
        resume=resume,
    )


def _first_for_films() -> str:
    """A remark for a machine without the packages that write films."""
    try:
        require_extra()
    except MissingExtraError as error:
        return f"    # after {install_command(error.extra)}"
    return ""


def _count(run: Path) -> Count | None:
    """The ledger's count; None if there is no ledger, or the disk is too full to open it."""
    path = run / "sessions.db"
    try:
        return read_count(path) if path.is_file() else None
    except DiskFullError:
        return None


def _keep(result: dict[str, Any], run: Path) -> None:
    """Saves the outcome; a full disk must not keep a person from reading it."""
    path = run / OUTCOME
    try:
        path.write_text(json.dumps(result) + "\n")
    except OSError as error:
        print_text(f"{path} is not written: {error.strerror}.", err=True)


def _draw(run: Path, resume: str) -> str:
    """Where the learning curve is; or why there is none, and how to draw it.

    Args:
        run: The run directory.
        resume: The command that trains it for longer; empty if that should not be advised.
    """
    again = command("tinyqueue", "plot", run)
    try:
        return str(plot_learning_curve([run], run / CURVE))
    except MissingExtraError as error:
        return f"none without matplotlib: {install_command(error.extra)}, then {again}"
    except NothingRecordedError as error:
        return f"none: {error}: {resume}" if resume else "none: no episode was finished"
    except RunDirectoryError as error:
        return f"none: {error}"
    except OSError as error:
        why = error.strerror or error
        return f"none: {run / CURVE} cannot be written ({why}). Fix that, then {again}"
