"""One training run per seed, with the processes that a user would start, and its result."""

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
    "lunarlander-ppo": 240.0,
    "pendulum-ppo": -180.0,
    "cartpole-masked-r2d2": 450.0,
    "cartpole-masked-impala": 450.0,
}
"""Required target scores ("levels") of presets whose ``[stop]`` is higher: if a mean of 100
episodes just reaches a level, every second other mean of 100 is below it."""
BUDGETS = {"cartpole-impala": 2_000_000, "cartpole-a3c": 2_000_000}
"""Env steps for presets without a limit of their own: twice what the slowest seed needed."""
PLAYERS = 2
FRESH_GAMES = 100
FRESH_SEED = 10_000
"""Far from the seeds of deciding evaluations, which are a million times the run's seed."""


@dataclass(frozen=True)
class SeedRun:
    """How the run of one seed ended.

    Attributes:
        seed: Its seed.
        path: Its run directory.
        level: Required mean return of an evaluation: :data:`LEVELS`, or its ``[stop]``.
        env_steps: Env steps of the weights that reached it; None if none did.
        wall_s: Seconds from the first batch to the end of that evaluation; None likewise.
        deciding_return: Mean return of that evaluation; None likewise.
        fresh_return: Mean return of episodes played after the end with the weights of that
            evaluation, or with those saved last.
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
        """Whether the level was reached, and was reached again by fresh episodes."""
        return self.env_steps is not None and self.fresh_return >= self.level

    def __str__(self) -> str:
        fresh = f"{FRESH_GAMES} fresh games {self.fresh_return:.1f}"
        if self.env_steps is None:
            return f"seed {self.seed}: the level {self.level:g} was not reached; {fresh}"
        return (
            f"seed {self.seed}: {self.deciding_return:.1f} after {self.env_steps:,} env steps "
            f"and {self.wall_s:.1f} s; {fresh}"
        )


@contextmanager
def places(folder: Path) -> Iterator[Callable[[int], Settings]]:
    """One private RabbitMQ node and one private Redis.

    Yields:
        A function of a number that was not used before. It returns settings for a new vhost and for
        the Redis, which it empties. The previous run must have ended.
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
    """Trains until the level or the budget is reached; the learner's output goes to stderr.

    Args:
        experiment: What ``command`` trains.
        command: Target and options of ``tinyqueue learner start`` or ``tinyqueue train``.
        runs: Folder for run directories and the players' log.
        settings: Broker and store of players and learner; None: trains in one process.

    Raises:
        subprocess.CalledProcessError: The learner failed; its output says why.
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
    """The evaluation that counts: the first to reach the run's threshold, or else the best one.

    A run whose threshold is above the required level may end before it reaches the threshold.

    Returns:
        None if not even the best one reaches the level.
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
