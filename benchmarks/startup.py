"""How long a user waits: for a worker, for a player's first batch, and for a solved CartPole.

    python benchmarks/startup.py worker            # celery worker: start to ready
    python benchmarks/startup.py child             # pool child: fork to first confirmed batch; RSS
    python benchmarks/startup.py solve --seeds 5   # tinyqueue train CartPole-v1: exec to solved

Each prints one JSON object. ``--broker rabbitmq`` uses a RabbitMQ and a Redis that are already
running (private ones, started before the measurement), ``--broker embedded`` the embedded services,
like a user without servers.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from measuring import children, memory_mb, started_s

from tinyqueue.local.services import local_services
from tinyqueue.settings import load_settings

SETTLE_S = 60.0


@contextmanager
def services(broker: str) -> Iterator[dict[str, str]]:
    """Environment variables with the URLs of running services."""
    with local_services(broker, load_settings()) as found:  # type: ignore[arg-type]
        yield {
            **os.environ,
            "TINYQUEUE_BROKER_URL": found.settings.broker,
            "TINYQUEUE_REDIS_URL": found.settings.redis,
        }


@contextmanager
def process(
    command: list[str], environment: dict[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A process group that ends with the block."""
    with log.open("wb") as output:
        child = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def wait_for(condition: Any, timeout_s: float = 90.0) -> Any:
    """Polls until the condition is true, and returns its value.

    Raises:
        TimeoutError: It did not become true in time.
    """
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise TimeoutError("it did not happen in time")


def worker_command(children_count: int = 1) -> list[str]:
    """The command of a worker that takes play tasks."""
    return [
        *(sys.executable, "-m", "celery", "-A", "tinyqueue", "worker", "-Q", "play"),
        *("-c", str(children_count), "-l", "INFO"),
    ]


def measure_worker(broker: str, repeats: int) -> dict[str, Any]:
    """Seconds from exec until the worker reports that it is ready."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder, services(broker) as environment:
        for number in range(repeats):
            log = Path(folder) / f"worker-{number}.log"
            began_s = time.monotonic()
            with process(worker_command(), environment, log):
                wait_for(lambda log=log: " ready." in log.read_text())
                seconds.append(time.monotonic() - began_s)
    return {"worker_ready_s": round(statistics.median(seconds), 2), "all": _rounded(seconds)}


def measure_child(broker: str, repeats: int) -> dict[str, Any]:
    """Seconds from the fork of a pool child to its first confirmed batch, with tasks waiting."""
    seconds: list[float] = []
    with tempfile.TemporaryDirectory() as name, services(broker) as environment:
        folder = Path(name)
        learner = [
            *(sys.executable, "-m", "tinyqueue.cli.main", "learner", "start", "cartpole-impala"),
            *("--stop-at-return", "1e9"),
        ]
        environment["TINYQUEUE_RUNS_DIR"] = str(folder / "runs")
        with process(learner, environment, folder / "learner.log"):
            wait_for(lambda: list(folder.glob("runs/*/*/tb")))
            time.sleep(3.0)
            for number in range(repeats):
                journal = folder / f"journal-{number}"
                environment["TINYQUEUE_PUBLISH_JOURNAL"] = str(journal)
                log = folder / f"worker-{number}.log"
                with process(worker_command(), environment, log) as worker:
                    confirmed_s = wait_for(lambda journal=journal: _first_confirmed_s(journal))
                    (child,) = children(worker.pid)
                    seconds.append(confirmed_s - started_s(child))
                    if number == repeats - 1:
                        time.sleep(SETTLE_S)
                        rss, pss = memory_mb(child)
    return {
        "child_first_batch_s": round(statistics.median(seconds), 2),
        "all": _rounded(seconds),
        "child_rss_mb": round(rss, 1),
        "child_pss_mb": round(pss, 1),
        "after_s": SETTLE_S,
    }


def measure_solve(broker: str, seeds: int) -> dict[str, Any]:
    """Seconds from the exec of ``tinyqueue train CartPole-v1`` to the deciding evaluation."""
    if broker == "embedded":
        return {"broker": broker, **_solve_all(dict(os.environ), "embedded", seeds)}
    with services(broker) as environment:
        return {"broker": broker, **_solve_all(environment, "configured", seeds)}


def _solve_all(environment: dict[str, str], broker: str, seeds: int) -> dict[str, Any]:
    rows = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            command = [
                *(sys.executable, "-m", "tinyqueue.cli.main", "train", "CartPole-v1", "--json"),
                *("--broker", broker, "--seed", str(seed), "--runs-dir", folder),
            ]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=True
            )
            row = json.loads(done.stdout.strip().splitlines()[-1])
            rows.append(row)
            print(f"seed {seed}: {row['ended']} after {row['solved_s']} s", file=sys.stderr)
    solved = [row for row in rows if row["ended"] == "solved"]
    return {
        "solved": f"{len(solved)} of {seeds}",
        "solved_s": round(statistics.median(row["solved_s"] for row in solved), 1),
        "all": _rounded([row["solved_s"] for row in solved]),
        "fresh_mean": _rounded([row["fresh_mean"] for row in solved]),
        "env_steps": [row["env_steps"] for row in solved],
        "trained_s": _rounded([row["trained_s"] for row in solved]),
    }


def _first_confirmed_s(journal: Path) -> float | None:
    for path in journal.glob("*.jsonl"):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            if entry["event"] == "confirmed":
                return float(entry["at_s"])
    return None


def _rounded(values: list[float]) -> list[float]:
    return [round(value, 2) for value in values]


def main() -> None:
    """Prints the measurement as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["worker", "child", "solve"])
    parser.add_argument("--broker", choices=["rabbitmq", "embedded"], default="rabbitmq")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    if options.what == "worker":
        result = measure_worker(options.broker, options.repeats)
    elif options.what == "child":
        result = measure_child(options.broker, options.repeats)
    else:
        result = measure_solve(options.broker, options.seeds)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
