"""How fast the whole loop goes through a real broker and a real store.

    python benchmarks/throughput.py cartpole --seconds 30 --json

Starts a private RabbitMQ node and a private Redis (or uses TINYQUEUE_BROKER_URL and
TINYQUEUE_REDIS_URL with --broker configured), a Celery worker with two player processes, and
the learner in this process. It measures for so many seconds after a warm-up, and then has the
last weights play 100 greedy games: a throughput that does not learn is none.
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
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from measuring import PlayerAccount, children, cpu_s, is_server, memory_mb, total_cpu_s

from tinyqueue.cli.experiments import configured, new_run
from tinyqueue.cli.logs import log_to_file
from tinyqueue.envs.describe import describe_in_child
from tinyqueue.evaluation.games import play_games
from tinyqueue.experiment import read_document
from tinyqueue.learned import load
from tinyqueue.learner import ingest
from tinyqueue.local.players import LocalPlayers
from tinyqueue.local.services import Choice, local_services
from tinyqueue.local.train import make_learner
from tinyqueue.monitor.lines import LineView
from tinyqueue.policy.heads import greedy_head
from tinyqueue.settings import load_settings
from tinyqueue.store.weights import WeightStore

LEVELS = {"cartpole": 475.0}
WARM_UP_S = 5.0
NEVER = 1e9


@dataclass
class Latency:
    """Seconds from the publish of a version to the start of the first batch that used it."""

    published: dict[int, float] = field(default_factory=dict)
    used: dict[int, float] = field(default_factory=dict)

    def watch(self) -> None:
        """Hooks into this process's learner."""
        publish, decode = WeightStore.publish, ingest.decode_session

        def publish_timed(store: WeightStore, weights: Any) -> None:
            publish(store, weights)
            self.published[weights.version] = time.monotonic()

        def decode_timed(*args: Any) -> Any:
            batch = decode(*args)
            began_s = time.monotonic() - batch.header.play_s
            self.used.setdefault(batch.header.policy_version, began_s)
            return batch

        WeightStore.publish = publish_timed  # type: ignore[method-assign]
        ingest.decode_session = decode_timed

    def median_ms(self, since_s: float) -> float:
        """Of the versions that some player used. An upper bound: with the way to the learner."""
        delays = [
            at - self.published[version]
            for version, at in self.used.items()
            if self.published.get(version, 0.0) > since_s
        ]
        return round(1000 * statistics.median(delays), 1) if delays else float("nan")


@dataclass
class Sample:
    """CPU seconds so far, by whom they were spent."""

    at_s: float
    learner: float
    consumer: float
    players: float
    servers: float

    @classmethod
    def take(cls, own: int) -> Sample:
        below = children(own)
        servers = [pid for pid, command in below.items() if is_server(command)]
        players = [pid for pid, command in below.items() if "celery" in command]
        consumer = [t.native_id for t in threading.enumerate() if t.name.startswith("consumer")]
        return cls(
            time.monotonic(),
            cpu_s(own),
            sum(cpu_s(own, thread) for thread in consumer),
            total_cpu_s(players),
            total_cpu_s(servers),
        )


def measure(
    name: str, seconds: float, choice: Choice, assignments: tuple[str, ...]
) -> dict[str, Any]:
    level = LEVELS[name]
    latency = Latency()
    latency.watch()
    with tempfile.TemporaryDirectory(prefix="tinyqueue-bench-") as folder:
        document = read_document(Path(__file__).parent / f"{name}.toml")
        experiment = configured(document, assignments, stop_at_return=NEVER)
        run = new_run(Path(folder), experiment)
        log_to_file(run.path / "learner.log")
        settings = load_settings()
        with local_services(choice, settings) as services:
            environment: Future[Any] = Future()
            environment.set_result(describe_in_child(experiment.environment))
            log = run.path / "players.log"
            queues = (experiment.session.queue, "evaluate")
            with LocalPlayers(services.settings, 2, queues, log) as players:
                view = LineView(sys.stderr)
                learner = make_learner(experiment, run, services.settings, view, environment)
                samples: list[Sample] = []
                threading.Thread(
                    target=_sample, args=(run.path, seconds, learner, samples), daemon=True
                ).start()
                outcome = learner.run()
                below = children(players.pid).items()
                pool = [pid for pid, command in below if "celery" in command]
                rss = [memory_mb(pid) for pid in pool]
            result = _result(run.path, samples, PlayerAccount.read(log))
        greedy = _greedy_mean(run.path)
        run.close()
    return {
        "benchmark": name,
        "broker": services.told,
        "seconds": round(samples[1].at_s - samples[0].at_s, 1),
        **result,
        "weights_latency_ms": latency.median_ms(samples[0].at_s),
        "player_rss_mb": round(max(r for r, _ in rss), 1),
        "player_pss_mb": round(max(p for _, p in rss), 1),
        "env_steps": outcome.env_steps,
        "greedy_mean": round(greedy, 1),
        "level": level,
        "learned": greedy >= level,
    }


def _sample(run: Path, seconds: float, learner: Any, samples: list[Sample]) -> None:
    metrics = run / "metrics.jsonl"
    while not (metrics.exists() and metrics.stat().st_size):
        time.sleep(0.05)
    time.sleep(WARM_UP_S)
    samples.append(Sample.take(os.getpid()))
    time.sleep(seconds)
    samples.append(Sample.take(os.getpid()))
    learner.stop()


def _result(run: Path, samples: list[Sample], account: PlayerAccount) -> dict[str, Any]:
    first, last = samples
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    # The clock of metrics runs from the first batch; the window is its last so many seconds.
    until = lines[-1]["time_s"]
    window = [x for x in lines if x["time_s"] >= until - (last.at_s - first.at_s) - 0.5]
    span_s = window[-1]["time_s"] - window[0]["time_s"]

    def rate(key: str) -> float:
        return float(window[-1][key] - window[0][key]) / span_s

    learner_s = last.learner - first.learner
    consumer_s = last.consumer - first.consumer
    players_s = last.players - first.players
    servers_s = last.servers - first.servers
    all_s = learner_s + players_s + servers_s
    bus_s = servers_s + consumer_s + account.bus_share * players_s
    return {
        "env_steps_per_s": round(rate("env_steps")),
        "updates_per_s": round(rate("updates"), 1),
        "policy_lag_mean": round(statistics.mean(x["policy_lag_mean"] for x in window), 1),
        "bus_cpu_share": round(bus_s / all_s, 3),
        "cpu_s": {
            "learner": round(learner_s, 2),
            "learner_consumer_thread": round(consumer_s, 2),
            "players": round(players_s, 2),
            "players_bus_share": round(account.bus_share, 3),
            "servers": round(servers_s, 2),
        },
        "refused_share": round(account.refused / max(1, account.refused + account.batches), 3),
    }


def _greedy_mean(run: Path) -> float:
    learned = load(run)
    games = play_games(
        learned.spec.environment,
        learned.runner,
        greedy_head(learned.spec.head, learned.spec.actions),
        episodes=100,
        slots=100,
        seed=1,
    )
    return float(games.returns.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("benchmark", choices=sorted(LEVELS))
    parser.add_argument("--seconds", type=float, default=30.0, help="measured, after the warm-up")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument(
        "--broker", default="rabbitmq", choices=["rabbitmq", "embedded", "configured"]
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    result = measure(
        options.benchmark, options.seconds, cast(Choice, options.broker), tuple(options.set)
    )
    if options.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:24} {value}")
    if not result["learned"]:
        sys.exit(f"it did not learn: greedy mean {result['greedy_mean']} < {result['level']}")


if __name__ == "__main__":
    main()
