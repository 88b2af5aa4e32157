"""Whether a preset learns: whether every seed reaches its target score within its env steps.

    python benchmarks/learning.py cartpole-dqn --seeds 5 --json
    python benchmarks/learning.py cartpole-masked-r2d2 --set model.core=none --fails-under 100
    python benchmarks/learning.py compare cartpole-dqn --seeds 10 --json

Every seed is trained by ``tinyqueue learner start`` and a Celery worker with two player
processes, through a private RabbitMQ node and a private Redis; with --serial, in one process.
``compare`` does both, and compares the env steps to the target score. Target score ("level") and
budget are the preset's ``[stop]``, unless ``seed_runs`` has others. The run ends with
the first evaluation that reaches the level of ``[stop]``. Then the saved weights play 100 more
episodes: ``passed`` needs the level in those too, for 4 of 5 seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from seed_runs import BUDGETS, SeedRun, places, train

from tinyqueue.cli.experiments import configured, find_document
from tinyqueue.errors import ConfigError, TinyqueueError
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.monitor.plots import plot_learning_curve
from tinyqueue.settings import Settings

MAX_WALL_S = {"cartpole-dqn": 20.0}
"""Seconds of training that the median seed may take, for presets with such a limit."""
MAX_RATIO = 1.5
"""Distributed training may take this many times the env steps of serial training."""
RESAMPLES = 10_000
Place = Callable[[int], Settings]


def measure(
    target: str, seeds: Sequence[int], assignments: Sequence[str], runs: Path, place: Place | None
) -> list[SeedRun]:
    """Trains one run per seed, one after the other.

    Args:
        target: A preset, a TOML file or an environment.
        seeds: The seeds.
        assignments: Changed settings, ``section.key=value``.
        runs: Folder for run directories.
        place: Gives each run a broker and a store; None: trains in one process.

    Raises:
        ConfigError: The experiment is unknown, or would never end if it does not learn.
    """
    result = []
    for seed in seeds:
        experiment = limited(target, assignments, seed)
        command = [target, "--seed", str(seed)]
        for assignment in assignments:
            command += ["--set", assignment]
        how = "in one process" if place is None else "through RabbitMQ"
        say(f"{experiment.name} {how}, seed {seed}: started")
        result.append(train(experiment, command, runs, place(seed) if place else None))
        say(f"{experiment.name} {how}, {result[-1]}")
    return result


def limited(target: str, assignments: Sequence[str], seed: int) -> Experiment:
    """The experiment to train.

    Raises:
        ConfigError: It is unknown, or has no budget of env steps.
    """
    experiment = configured(find_document(target)[0], assignments, seed=seed)
    if experiment.stop.max_env_steps is None:
        raise ConfigError(
            f"{experiment.name} has no budget: a seed that does not learn would train forever. "
            "Give one with --set stop.max_env_steps=N."
        )
    return experiment


def report(
    name: str,
    budget: int,
    runs: Sequence[SeedRun],
    fails_under: float | None = None,
    spare: int = 0,
) -> dict[str, Any]:
    """Medians over all seeds. One that never reached the level counts as infinite: null in JSON.

    Args:
        name: Name of the experiment.
        budget: Env steps within which to reach the level.
        runs: At least one.
        fails_under: For a control, which passes if no seed reaches this mean return.
        spare: Env steps of an update: a run ends with the one that spends its budget.
    """
    solved = sum(run.is_solved and (run.env_steps or 0) <= budget + spare for run in runs)
    wall_s = statistics.median(_or_inf(run.wall_s) for run in runs)
    passed = solved >= -(-4 * len(runs) // 5) and wall_s <= MAX_WALL_S.get(name, math.inf)
    if fails_under is not None:
        passed = all(run.fresh_return < fails_under for run in runs)
    return {
        "name": name,
        "level": runs[0].level,
        "budget_env_steps": budget,
        "seeds": [run.seed for run in runs],
        "median_return": round(statistics.median(run.fresh_return for run in runs), 2),
        "median_env_steps": _finite(statistics.median(steps_to_level(runs))),
        "median_wall_s": _finite(wall_s),
        "solved": solved,
        "passed": passed,
        "returns": [round(run.fresh_return, 2) for run in runs],
        "deciding_returns": [run.deciding_return for run in runs],
        "env_steps": [run.env_steps for run in runs],
        "wall_s": [run.wall_s for run in runs],
    }


def compare(distributed: Sequence[SeedRun], serial: Sequence[SeedRun]) -> dict[str, Any]:
    """Ratio of the median env steps to the level, with a 95 % bootstrap interval.

    Null if half of the seeds on one side, or in too many of its resamples, did not reach it.
    """
    sides = [np.array(steps_to_level(runs)) for runs in (distributed, serial)]
    rng = np.random.default_rng(0)
    medians = [
        np.median(side[rng.integers(len(side), size=(RESAMPLES, len(side)))], axis=1)
        for side in sides
    ]
    with np.errstate(invalid="ignore"):
        ratio = float(np.median(sides[0]) / np.median(sides[1]))
        low, high = np.quantile(medians[0] / medians[1], [0.025, 0.975])
    return {
        "ratio": _finite(ratio, 3),
        "interval": [_finite(float(low), 3), _finite(float(high), 3)],
        "max_ratio": MAX_RATIO,
        "passed": ratio <= MAX_RATIO,
    }


def steps_to_level(runs: Sequence[SeedRun]) -> list[float]:
    """Env steps of each run until it reached its level; infinite if it did not."""
    return [_or_inf(run.env_steps) for run in runs]


def say(text: str) -> None:
    """Prints to standard error: standard output is for results."""
    print(text, file=sys.stderr, flush=True)


def _or_inf(value: float | None) -> float:
    return math.inf if value is None else float(value)


def _finite(value: float, digits: int = 1) -> float | None:
    return round(value, digits) if math.isfinite(value) else None


def budgeted(target: str, assignments: Sequence[str]) -> list[str]:
    """The assignments, with the budget of a preset that has none of its own."""
    experiment = configured(find_document(target)[0], assignments)
    budget = BUDGETS.get(target)
    if budget is None or experiment.stop.max_env_steps is not None:
        return list(assignments)
    return [f"stop.max_env_steps={budget}", *assignments]


def _run(options: argparse.Namespace, runs: Path, scratch: Path) -> dict[str, Any]:
    """Runs what the options ask for; returns plain values."""
    options.set = budgeted(options.name, options.set)
    experiment = limited(options.name, options.set, options.first_seed)
    budget, name = int(experiment.stop.max_env_steps or 0), experiment.name
    session = experiment.session
    spare = session.ticks * session.slots * experiment.learner.batches_per_update
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    serial: list[SeedRun] = []
    distributed: list[SeedRun] = []
    if options.compare or not options.serial:
        with places(scratch) as place:
            distributed = measure(options.name, seeds, options.set, runs, place)
    if options.compare or options.serial:
        # A separate name gives it a separate curve.
        assignments = [*options.set, f"name={name}-serial"] if options.compare else options.set
        serial = measure(options.name, seeds, assignments, runs, None)
    if options.plot is not None:
        paths = [run.path for run in (*distributed, *serial)]
        plot_learning_curve(paths, options.plot, level=(distributed or serial)[0].level)
    if not options.compare:
        how = "serial" if options.serial else "distributed"
        runs_of = distributed or serial
        return {**report(name, budget, runs_of, options.fails_under, spare), "how": how}
    return {
        "name": name,
        **compare(distributed, serial),
        "distributed": report(name, budget, distributed, spare=spare),
        "serial": report(name, budget, serial, spare=spare),
    }


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parses the command line; ``compare`` before the name is a flag."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="+", metavar="[compare] NAME", help="a preset or TOML file")
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--serial", action="store_true", help="in one process, without a broker")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument(
        "--fails-under", type=float, metavar="R", help="a control: passes when all seeds stay below"
    )
    parser.add_argument("--runs-dir", type=Path, help="keep the run directories there")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the learning curves")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args(arguments)
    *before, options.name = options.what
    options.compare = before == ["compare"]
    if (before and not options.compare) or options.seeds < 1:
        parser.error("give NAME or compare NAME, and at least one seed")
    if options.compare and options.serial:
        parser.error("compare trains both ways; leave --serial out")
    return options


def main() -> None:
    """Runs what the command line asks for. Exits with status 1 if it did not pass."""
    options = parse(sys.argv[1:])
    # So that a running learner ends with this process.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tinyqueue-bench-")))
        runs = (options.runs_dir or scratch / "runs").absolute()
        runs.mkdir(parents=True, exist_ok=True)
        try:
            result = _run(options, runs, scratch)
        except TinyqueueError as error:
            sys.exit(f"error: {error}")
        except subprocess.CalledProcessError as error:
            sys.exit(f"error: {' '.join(error.cmd)} ended with status {error.returncode}.")
        except KeyboardInterrupt:
            sys.exit("interrupted; running processes have been stopped.")
    if options.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:18} {value}")
    if not result["passed"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
