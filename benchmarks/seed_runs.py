"""One training run per seed, as processes that a person would start, and what each came to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyqueue.bus.topology import EVALUATE_QUEUE
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.local.players import LocalPlayers
from tinyqueue.local.rabbitmq_node import RabbitmqNode
from tinyqueue.local.redis_server import RedisServer
from tinyqueue.monitor.metrics import EvaluationField
from tinyqueue.settings import Settings
from tinyqueue.store.client import connect

LEVELS = {
    "acrobot-rainbow-lite": -90.0,
    "lunarlander-apex": 200.0,
    "cartpole-masked-r2d2": 450.0,
    "cartpole-masked-impala": 450.0,
}
"""The level that is asked for, where a preset's ``[stop]`` trains on beyond it: a mean of 100 games
that happens to be at the level is below it in every second other 100."""
PLAYERS = 2
FRESH_GAMES = 100
FRESH_SEED = 10_000
"""Far from the seeds of the games that decide, which are a million times the run's seed."""


@dataclass(frozen=True)
class SeedRun:
    """How the run of one seed ended.

    Attributes:
        seed: Its seed.
        path: Its run directory.
        level: Mean return of greedy games that it had to have: :data:`LEVELS`, or its ``[stop]``.
        env_steps: Of the weights that reached it; None when none did.
        wall_s: Seconds from the first batch to the end of that evaluation; None likewise.
        deciding_return: Mean return of that evaluation; None likewise.
        fresh_return: Mean return of games played after the end by the weights of that evaluation,
            or by those that were saved last.
    """

    seed: int
    path: Path
    level: float
    env_steps: int | None
    wall_s: float | None
    deciding_return: float | None
    fresh_return: float

    @property
    def is_solved(self) -> bool:
        """Whether the level was reached, and is reached again by games that did not decide."""
        return self.env_steps is not None and self.fresh_return >= self.level

    def __str__(self) -> str:
        fresh = f"{FRESH_GAMES} fresh games {self.fresh_return:.1f}"
        if self.env_steps is None:
            return f"seed {self.seed}: the level {self.level:g} is not reached; {fresh}"
        return (
            f"seed {self.seed}: {self.deciding_return:.1f} after {self.env_steps:,} env steps "
            f"and {self.wall_s:.1f} s; {fresh}"
        )


@contextmanager
def places(folder: Path) -> Iterator[Callable[[int], Settings]]:
    """One private RabbitMQ node and one private Redis.

    Yields:
        Given a number that was not given before: the settings of a vhost of its own and of the
        Redis, emptied. The run before must have ended.
    """
    with RabbitmqNode(folder / "rabbitmq") as node, RedisServer(folder / "redis") as redis:

        def place(number: int) -> Settings:
            with connect(redis.redis_url) as client:
                client.flushall()
            urls: dict[str, Any] = {
                "broker_url": node.add_vhost(f"run-{number}"),
                "redis_url": redis.redis_url,
            }
            return Settings(**urls)

        yield place


def train(
    experiment: Experiment, command: Sequence[str], runs: Path, settings: Settings | None
) -> SeedRun:
    """Trains until the level or the budget is reached; what the learner says goes to stderr.

    Args:
        experiment: What ``command`` trains.
        command: Target and options of ``tinyqueue learner start`` or ``tinyqueue train``.
        runs: Where run directories and the players' log are made.
        settings: Where players and learner meet; None trains in one process.

    Raises:
        subprocess.CalledProcessError: The learner failed; it has said why.
    """
    start = ("train", "--serial") if settings is None else ("learner", "start", "--new")
    with ExitStack() as stack:
        environment = dict(os.environ)
        if settings is not None:
            environment["TINYQUEUE_BROKER_URL"] = settings.broker
            environment["TINYQUEUE_REDIS_URL"] = settings.redis
            queues = (experiment.session.queue, EVALUATE_QUEUE)
            log = runs / f"players-{experiment.name}-{experiment.seed}.log"
            stack.enter_context(LocalPlayers(settings, PLAYERS, queues, log))
        outcome = _tinyqueue(*start, *command, "--runs-dir", str(runs), environment=environment)
    path = Path(outcome["run_directory"])
    level = LEVELS.get(experiment.name, float(outcome["threshold"]))
    best = decided(path, float(outcome["threshold"]), level)
    seed = FRESH_SEED + experiment.seed
    games = ["-n", str(FRESH_GAMES), "--seed", str(seed), *(["--best"] if best else [])]
    fresh = _tinyqueue("evaluate", str(path), *games)
    return SeedRun(
        seed=experiment.seed,
        path=path,
        level=level,
        env_steps=int(best[EvaluationField.ENV_STEPS]) if best else None,
        wall_s=float(best[EvaluationField.TIME_S]) if best else None,
        deciding_return=float(best[EvaluationField.RETURN_MEAN]) if best else None,
        fresh_return=float(fresh["mean"]),
    )


def decided(run: Path, threshold: float, level: float) -> dict[str, Any] | None:
    """The evaluation that counts: the first at the threshold that ends a run, else the best one.

    A run that goes on to a threshold above the level asked for may end before it is there.

    Returns:
        None when not even the best one is at the level.
    """
    lines = [json.loads(text) for text in (run / "evaluations.jsonl").read_text().splitlines()]
    mean = EvaluationField.RETURN_MEAN
    best = max(lines, key=lambda line: min(line[mean], threshold), default=None)
    return best if best is not None and best[mean] >= level else None


def _tinyqueue(*arguments: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """The JSON object that a command prints last."""
    done = subprocess.run(
        [sys.executable, "-m", "tinyqueue.cli.main", *arguments, "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result
