"""How fast the whole loop runs through a real broker and a real store.

    python benchmarks/throughput.py cartpole --seconds 30 --json
    python benchmarks/throughput.py pong --seconds 60 --json
    python benchmarks/throughput.py pong --seconds 60 --json --set model.name=shallow
    python benchmarks/throughput.py pong-apex --seconds 60 --json

Starts a private RabbitMQ node and a private Redis (or uses TINYQUEUE_BROKER_URL and
TINYQUEUE_REDIS_URL with --broker configured), a Celery worker with two player processes or
--players N, and the learner in this process. It measures for the given seconds after a warm-up,
which starts at the first update. CartPole's last weights then play 100 greedy episodes: throughput
without learning is worthless. Pong is not learned in a minute; see docs/benchmarks.md for its runs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from measuring import children, memory_mb
from shares import Playing, Sample, shares

from tinyqueue.cli.experiments import configured, new_run
from tinyqueue.cli.logs import log_to_file
from tinyqueue.envs.describe import describe_in_child
from tinyqueue.evaluation.games import play_games
from tinyqueue.experiment.documents import read_document
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.learned import Learned, load
from tinyqueue.learner import ingest
from tinyqueue.local.learner import make_learner
from tinyqueue.local.players import LocalPlayers
from tinyqueue.local.services import Choice, local_services
from tinyqueue.monitor.lines import LineView
from tinyqueue.policy.heads import greedy_head
from tinyqueue.settings import load_settings
from tinyqueue.store.weights import WeightStore
from tinyqueue.wire.weights import WeightVersion

HERE = Path(__file__).parent
PRESETS = HERE.parent / "config" / "experiments"
FILES = {
    "cartpole": HERE / "cartpole.toml",
    "pong": HERE / "pong.toml",
    "pong-apex": PRESETS / "pong-apex.toml",
}
LEVELS = {"cartpole": 475.0}
"""Target scores: mean returns that the last weights must reach in greedy episodes."""
WARM_UP_S = 5.0
NEVER = 1e9


@dataclass
class Latency:
    """Seconds from the publish of a version to the start of the first batch that used it."""

    published: dict[int, float] = field(default_factory=dict)
    used: dict[int, float] = field(default_factory=dict)

    def watch(self) -> None:
        """Hooks into the learner of this process."""
        module: Any = ingest
        publish, decode = WeightStore.publish, module.decode_session

        def publish_timed(store: WeightStore, weights: WeightVersion) -> None:
            publish(store, weights)
            self.published[weights.version] = time.monotonic()

        def decode_timed(*args: Any) -> Any:
            batch = decode(*args)
            began_s = time.monotonic() - batch.header.play_s
            self.used.setdefault(batch.header.policy_version, began_s)
            return batch

        WeightStore.publish = publish_timed  # type: ignore[assignment, method-assign]
        module.decode_session = decode_timed

    def median_ms(self, since_s: float) -> float:
        """Median over versions that a player used. An upper bound: it includes the way back."""
        delays = [
            at - self.published[version]
            for version, at in self.used.items()
            if self.published.get(version, 0.0) > since_s
        ]
        return round(1000 * statistics.median(delays), 1) if delays else float("nan")


@dataclass
class Arrivals:
    """Sizes of session messages and their env steps, as the learner received them."""

    rows: list[tuple[float, int, int]] = field(default_factory=list)

    def watch(self) -> None:
        """Hooks into the learner of this process."""
        module: Any = ingest
        decode = module.decode_session

        def decode_counted(body: Any, *args: Any) -> Any:
            batch = decode(body, *args)
            self.rows.append((time.monotonic(), len(body), batch.env_steps))
            return batch

        module.decode_session = decode_counted

    def bytes_per_step(self, since_s: float, until_s: float) -> float:
        """Bytes per env step on the wire, between two times."""
        within = [row for row in self.rows if since_s <= row[0] <= until_s]
        return sum(row[1] for row in within) / max(1, sum(row[2] for row in within))


def measure(
    name: str, seconds: float, choice: Choice, count: int, assignments: tuple[str, ...]
) -> dict[str, Any]:
    """Trains a benchmark's experiment and measures it after a warm-up.

    Args:
        name: One of :data:`FILES`.
        seconds: Length of the measurement.
        choice: Which services to use.
        count: Number of player processes.
        assignments: Changed settings, ``section.key=value``.
    """
    level = LEVELS.get(name)
    latency, arrivals = Latency(), Arrivals()
    latency.watch()
    arrivals.watch()
    with tempfile.TemporaryDirectory(prefix="tinyqueue-bench-") as folder:
        experiment = configured(read_document(FILES[name]), assignments, stop_at_return=NEVER)
        run, experiment = new_run(Path(folder), experiment)
        log_to_file(run.path / "learner.log")
        settings = load_settings()
        with local_services(choice, settings) as services:
            info = describe_in_child(experiment.environment)
            log = run.path / "players.log"
            queues = (experiment.session.queue, "evaluate")
            with LocalPlayers(services.settings, count, queues, log) as players:
                view = LineView(sys.stderr)
                learner = make_learner(
                    experiment, run, services.settings, view, lambda: (experiment, info)
                )
                samples: list[Sample] = []
                threading.Thread(
                    target=_sample, args=(run.path, seconds, learner, samples, log), daemon=True
                ).start()
                outcome = learner.run()
                below = children(players.pid).items()
                pool = [pid for pid, command in below if "celery" in command]
                rss = [memory_mb(pid) for pid in pool]
            result = _result(run.path, samples, experiment)
        first, last = samples
        learned = load(run.path)
        spent = shares(first, last, Playing.measure(learned.spec, learned.runner))
        reached = {} if level is None else _reached(learned, level)
        run.close()
    return {
        "benchmark": name,
        "players": count,
        "broker": services.told,
        "seconds": round(last.at_s - first.at_s, 1),
        **result,
        "wire_bytes_per_step": round(arrivals.bytes_per_step(first.at_s, last.at_s), 1),
        "shares": spent,
        "weights_latency_ms": latency.median_ms(first.at_s),
        "player_rss_mb": round(max(r for r, _ in rss), 1),
        "player_pss_mb": round(max(p for _, p in rss), 1),
        "env_steps": outcome.env_steps,
        **reached,
    }


def _sample(
    run: Path, seconds: float, learner: Any, samples: list[Sample], players_log: Path
) -> None:
    metrics = run / "metrics.jsonl"
    while not _has_update(metrics):
        time.sleep(0.05)
    time.sleep(WARM_UP_S)
    samples.append(Sample.take(os.getpid(), players_log))
    time.sleep(seconds)
    samples.append(Sample.take(os.getpid(), players_log))
    learner.stop()


def _has_update(metrics: Path) -> bool:
    lines = metrics.read_text().splitlines() if metrics.exists() else []
    return any(json.loads(line)["updates"] > 0 for line in lines[-2:-1])


def _result(run: Path, samples: list[Sample], experiment: Experiment) -> dict[str, Any]:
    first, last = samples
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    # The clock of metrics starts at the first batch; the window is its end.
    until = lines[-1]["time_s"]
    window = [x for x in lines if x["time_s"] >= until - (last.at_s - first.at_s) - 0.5]
    span_s = window[-1]["time_s"] - window[0]["time_s"]

    def rate(key: str) -> float:
        return float((window[-1][key] - window[0][key]) / span_s)

    learner_s = last.learner - first.learner
    consumer_s = last.consumer - first.consumer
    players_s = last.players - first.players
    servers_s = last.servers - first.servers
    account = last.account - first.account
    all_s = learner_s + players_s + servers_s
    bus_s = servers_s + consumer_s + account.bus_cpu_s
    env_steps_per_s, updates_per_s = rate("env_steps"), rate("updates")
    return {
        "env_steps_per_s": round(env_steps_per_s),
        "env_steps_per_cpu_s": round(env_steps_per_s * (last.at_s - first.at_s) / all_s),
        "samples_per_s": round(_samples_per_s(experiment, env_steps_per_s, updates_per_s)),
        "updates_per_s": round(updates_per_s, 1),
        "policy_lag_mean": round(statistics.mean(x["policy_lag_mean"] for x in window), 1),
        "return_mean": window[-1]["return_mean"],
        "bus_cpu_share": round(bus_s / all_s, 3),
        "cpu_s": {
            "learner": round(learner_s, 2),
            "learner_consumer_thread": round(consumer_s, 2),
            "players": round(players_s, 2),
            "players_bus": round(account.bus_cpu_s, 2),
            "servers": round(servers_s, 2),
        },
        "refused_share": round(account.refused / max(1, account.refused + account.batches), 3),
    }


def _samples_per_s(experiment: Experiment, env_steps_per_s: float, updates_per_s: float) -> float:
    """Ticks trained on per second: env steps once on the stream, whole samples of a replay."""
    if experiment.replay is None:
        return env_steps_per_s
    algorithm = experiment.algorithm
    return updates_per_s * float(algorithm.batch_size * getattr(algorithm, "unroll", 1))


def _reached(learned: Learned, level: float) -> dict[str, Any]:
    games = play_games(
        learned.spec.environment,
        learned.runner,
        greedy_head(learned.spec.head, learned.spec.actions),
        episodes=100,
        slots=100,
        seed=1,
    )
    greedy = float(games.returns.mean())
    return {"greedy_mean": round(greedy, 1), "level": level, "learned": greedy >= level}


def main() -> None:
    """Measures, and prints the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("benchmark", choices=sorted(FILES))
    parser.add_argument("--seconds", type=float, default=30.0, help="measured, after the warm-up")
    parser.add_argument("--players", type=int, default=2, help="player processes (default: 2)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument(
        "--broker", default="rabbitmq", choices=["rabbitmq", "embedded", "configured"]
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    result = measure(
        options.benchmark,
        options.seconds,
        cast(Choice, options.broker),
        options.players,
        tuple(options.set),
    )
    if options.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:24} {value}")
    if not result.get("learned", True):
        sys.exit(f"it did not learn: greedy mean {result['greedy_mean']} < {result['level']}")


if __name__ == "__main__":
    main()
