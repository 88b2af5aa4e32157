"""The command that trains a run for longer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tinyqueue.algorithms.horizon import horizon
from tinyqueue.catalogue import of_run
from tinyqueue.cli.advised import command
from tinyqueue.errors import NothingRecordedError, RunDirectoryError, TinyqueueError
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.run.outcome import read_outcome

RESUME = ("tinyqueue", "train", "--resume")


def resumed(
    run: Path,
    experiment: Experiment,
    *,
    reached_its_limit: bool,
    env_steps: int,
    resume: Sequence[str] = RESUME,
) -> str:
    """The command that trains a run for longer.

    Args:
        run: The run directory.
        experiment: What it trains.
        reached_its_limit: Whether it ended by its limit of env steps.
        env_steps: The env steps trained on so far.
        resume: The words before the run's path.
    """
    return command(*resume, run, *longer(experiment, reached_its_limit, env_steps))


def longer(experiment: Experiment, reached_its_limit: bool, env_steps: int) -> list[str]:
    """Options without which a resumed run would end at once or learn nothing more."""
    options, end = [], experiment.stop.max_env_steps
    if reached_its_limit:
        end = 2 * env_steps
        options += ["--max-env-steps", str(end)]
    limit = horizon(experiment.algorithm)
    if limit is not None:
        wanted = end if end is not None else 2 * env_steps
        if wanted > limit.env_steps:
            options += ["--set", f"algorithm.anneal_steps={wanted}"]
    return options


def with_advice(error: NothingRecordedError) -> RunDirectoryError:
    """The error, with the command that trains its run for longer."""
    return RunDirectoryError(f"{error}: {_resumed_from_disk(error.run)}")


def _resumed_from_disk(run: Path) -> str:
    """As :func:`resumed`, from what the run itself says of its last end."""
    with suppress(OSError, ValueError, KeyError, TypeError, TinyqueueError):
        outcome = read_outcome(run)
        reached = outcome["ended"] == "max env steps"
        steps = int(outcome["env_steps"])
        return resumed(run, of_run(run), reached_its_limit=reached, env_steps=steps)
    return command(*RESUME, run)
