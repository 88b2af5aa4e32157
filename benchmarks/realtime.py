"""Whether anything holds an environment that owns its clock: a drill with the real pieces.

    python benchmarks/realtime.py                       # all three, a minute each
    python benchmarks/realtime.py redis --seconds 20 --outage 5

A private RabbitMQ and Redis, a learner and a worker with one player, which plays Chase-v0 at 60 Hz
with the Nature network on four stacked frames. In each minute one thing happens:

* ``rabbitmq``: its application is stopped for 10 s;
* ``redis``: it answers nobody for 10 s;
* ``weights``: a new weight version, 6.7 MB, comes with every second update, about once a second.

It prints one JSON object per drill: the clock's own count of missed ticks, times from an
observation to its action, and whether every batch that was finished has been counted once by
the learner. Needs two idle cores: the numbers are those of whatever shares them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from startup import process

from tinyqueue.local.rabbitmq_node import RabbitmqNode
from tinyqueue.local.redis_server import RedisServer
from tinyqueue.store.client import connect
from tinyqueue.store.status import StatusBoard
from tinyqueue.working_folder import python_of

HZ = 60
START_S, DRAIN_S = 300.0, 120.0
DRILLS = ("rabbitmq", "redis", "weights")
ENVIRONMENTS = Path(__file__).parents[1] / "examples" / "environments"
_NEVER = 1_000_000_000


def experiment(drill: str, seconds: float) -> str:
    """The experiment file. One episode lasts for the whole drill, and a bit longer."""
    return f"""
name = "chase"
[environment]
id = "Chase-v0"
realtime = true
tick_s = {1 / HZ}
stack = 4
kwargs = {{hz = {HZ}.0, ticks = {int(HZ * (seconds + 5))}, pixels = 84}}
[algorithm]
name = "impala"
[model]
name = "nature"
[session]
ticks = 32
[learner]
batches_per_update = 1
queue_batches = 4
publish_every_updates = {2 if drill == "weights" else _NEVER}
checkpoint_every_s = 3600.0
[evaluation]
every_env_steps = {_NEVER}
[stop]
max_env_steps = {_NEVER}
"""


class Drill:
    """A learner and a player on services of their own.

    Args:
        name: One of :data:`DRILLS`.
        seconds: How long is played.
        outage_s: How long a service is away.
    """

    def __init__(self, name: str, seconds: float, outage_s: float) -> None:
        self.name, self.seconds, self.outage_s = name, seconds, outage_s

    def run(self, folder: Path) -> dict[str, Any]:
        """Plays, breaks, waits until everything has arrived, and says what was seen."""
        with ExitStack() as stack:
            node = RabbitmqNode(folder / "rabbitmq")
            node.start_s = START_S
            stack.enter_context(node)
            server = stack.enter_context(RedisServer(folder / "redis"))
            environment = self._environment(node, server, folder)
            (folder / "chase.toml").write_text(experiment(self.name, self.seconds))
            redis = stack.enter_context(connect(server.redis_url))
            learner = [*python_of("tinyqueue.cli.main"), "learner", "start"]
            learner.append(str(folder / "chase.toml"))
            stack.enter_context(process(learner, environment, folder / "learner.log"))

            def status() -> dict[str, Any]:
                return StatusBoard(redis).read("chase") or {}

            until(lambda: bool(status()), "the learner starts", START_S)
            worker = python_of("celery", "-A", "tinyqueue", "worker", "-Q", "play", "-c", "1")
            with process(worker, environment, folder / "worker.log") as player:
                until(lambda: status().get("env_steps", 0) > 0, "a batch is trained on", START_S)
                began_s, load = time.monotonic(), os.getloadavg()[0]
                time.sleep(self.seconds / 6)
                self._break(node, server)
                time.sleep(max(0.0, began_s + self.seconds - time.monotonic()))
                player.send_signal(signal.SIGTERM)
                player.wait(60.0)
            journal = events(folder / "journal")
            settled = ("accepted", "set_aside", "dropped")

            def arrived() -> int:
                count = status().get("count", {})
                parts = (count.get(name, 0) for name in settled)
                return sum(sum(p.values()) if isinstance(p, dict) else p for p in parts)

            finished = len(journal["attempted"])
            try:
                until(lambda: arrived() >= finished, "everything arrives", DRAIN_S)
            except TimeoutError:
                print(f"{finished - arrived()} batches have not arrived", file=sys.stderr)
            time.sleep(1.5)
            return self._seen(status(), journal, load)

    def _environment(self, node: RabbitmqNode, server: RedisServer, folder: Path) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("TINYQUEUE_")}
        path = os.pathsep.join(filter(None, (str(ENVIRONMENTS), os.environ.get("PYTHONPATH"))))
        return {
            **kept,
            "PYTHONPATH": path,
            "TINYQUEUE_BROKER_URL": node.broker_url,
            "TINYQUEUE_REDIS_URL": server.redis_url,
            "TINYQUEUE_RUNS_DIR": str(folder / "runs"),
            "TINYQUEUE_SPOOL_DIR": str(folder / "spool"),
            "TINYQUEUE_PUBLISH_JOURNAL": str(folder / "journal"),
            "TINYQUEUE_ENVIRONMENT_MODULES": "chase",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }

    def _break(self, node: RabbitmqNode, server: RedisServer) -> None:
        if self.name == "rabbitmq":
            node.eval("rabbit:stop().")
            time.sleep(self.outage_s)
            node.eval("rabbit:start().")
        elif self.name == "redis":
            with frozen(server.pid):
                time.sleep(self.outage_s)

    def _seen(
        self, status: dict[str, Any], journal: dict[str, set[str]], load: float
    ) -> dict[str, Any]:
        count = status["count"]
        steps, missed = status["env_steps"], status["missed_ticks"]
        return {
            "drill": self.name,
            "seconds": self.seconds,
            "env_steps": steps,
            "missed_ticks": missed,
            "missed_share": round(missed / max(1, steps + missed), 6),
            "late_ticks": status["late_ticks"],
            **{name: round(status[f"action_ms_{name}"], 3) for name in ("p50", "p99", "worst")},
            "versions": status["policy_version"] + 1,
            "finished": len(journal["attempted"]),
            "confirmed": len(journal["confirmed"]),
            "dropped_by_spool": len(journal["dropped"]),
            "count": count,
            "balances": count["unbalanced"] == 0 and count["missing"] == 0,
            "load_before": load,
            "nice": os.nice(0),
        }


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A process that answers nobody until the end of the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def until(found: Callable[[], bool], what: str, within_s: float) -> None:
    """Returns once there is something.

    Raises:
        TimeoutError: There was not.
    """
    deadline_s = time.monotonic() + within_s
    while not found():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not within {within_s:g} s: {what}")
        time.sleep(0.25)


def events(journal: Path) -> dict[str, set[str]]:
    """Batch ids by what the player noted of them."""
    found: dict[str, set[str]] = {"attempted": set(), "confirmed": set(), "dropped": set()}
    for file in journal.glob("*.jsonl"):
        for line in file.read_text().splitlines():
            entry = json.loads(line)
            found[entry["event"]].add(entry["batch_id"])
    return found


def main() -> None:
    """Reads the command line and runs the drills."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("drills", nargs="*", metavar="DRILL", help=", ".join(DRILLS))
    parser.add_argument("--seconds", type=float, default=60.0, help="length of a drill")
    parser.add_argument("--outage", type=float, default=10.0, help="seconds without a service")
    parser.add_argument("--keep", type=Path, help="folder for logs, runs and journals")
    given = parser.parse_args()
    if unknown := set(given.drills) - set(DRILLS):
        parser.error(f"no such drill: {', '.join(sorted(unknown))}")
    root = given.keep or Path(tempfile.mkdtemp(prefix="realtime-"))
    for name in given.drills or DRILLS:
        folder = (root / name).resolve()
        folder.mkdir(parents=True)
        print(json.dumps(Drill(name, given.seconds, given.outage).run(folder)), flush=True)
    if given.keep is None:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
