"""Two experiments on real servers: what a campaign breaks, and what it watches meanwhile."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fault_campaign.hostile import Hostile
from fault_campaign.kept import Endings, Kept
from fault_campaign.progress import Progress
from fault_campaign.proxy import Proxy
from fault_campaign.servers import ROOT, RoleRabbitmq, RoleRedis, declare_queues, permissions
from fault_campaign.versions import Versions

STREAM, REPLAY = "cartpole-impala", "cartpole-dqn"
SAMPLE_S = 0.1
_PYTHON = (sys.executable, "-W", "ignore")
_ENDLESS = {
    "stop.at_return": 1e9,
    "stop.max_env_steps": 10**12,
    # With relu, observations of 3e38 become losses that are not finite.
    "model.activation": "relu",
    # Evaluations go on all the time, every ten times ``every_env_steps`` while the level is far
    # away, and take no more than a moment.
    "evaluation.episodes": 4,
    "evaluation.slots": 4,
    "evaluation.max_steps_per_game": 100,
}
EXPERIMENTS: dict[str, dict[str, object]] = {
    STREAM: {**_ENDLESS, "evaluation.every_env_steps": 5_000},
    REPLAY: {
        **_ENDLESS,
        "evaluation.every_env_steps": 200,
        "replay.samples_per_insert": 4,
        "learner.publish_every_updates": 4,
    },
}
"""Experiment → settings on top of its preset."""
BATCH_STEPS = {STREAM: 32 * 32, REPLAY: 8 * 8}
PLAYERS = ("ada", "bob", "cleo")
"""Workers, each with a login of its own. The last one's connections go through the proxies."""
HOSTILE, WRONG, MONITOR = "mallory", "nell", "flower"
"""Logins of role player that send what is bad, and that is misconfigured; and Flower's."""


@dataclass(frozen=True)
class Noted:
    """Something that a fault must not bring about."""

    kind: str
    text: str
    at_s: float


class World:
    """Servers, two learners, three players, and a login that means harm.

    Args:
        folder: For everything; new.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.journal, self.runs = folder / "journal", folder / "runs"
        evaluator = "evaluator" if "evaluator" in permissions() else "player"
        logins = {"learner": "learner", HOSTILE: "player", WRONG: "player", MONITOR: "monitor"}
        logins |= dict.fromkeys(PLAYERS, "player") | {PLAYERS[0]: evaluator}
        self.broker = RoleRabbitmq(folder / "rabbitmq", logins)
        self.redis = RoleRedis(folder / "redis")
        self.noted: list[Noted] = []
        self.progress = {name: Progress(name, self.runs, BATCH_STEPS[name]) for name in EXPERIMENTS}
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="watcher", daemon=True)

    def __enter__(self) -> Self:
        self.redis.start()
        self.broker.start()
        self.broker.make_logins()
        declare_queues(self.broker.url("learner"), _PYTHON)
        self.to_broker, self.to_redis = Proxy(self.broker.port), Proxy(self.redis.port)
        # Learner and player beside their fellows: half of all goes on when the proxies are silent.
        self.learners = {
            STREAM: self._learner(STREAM, self.to_broker.port, self.to_redis.port),
            REPLAY: self._learner(REPLAY, None, None),
        }
        self.players = [
            self.worker(name, queues="play,evaluate" if name == PLAYERS[0] else "play")
            for name in PLAYERS[:-1]
        ]
        last = (self.to_broker.port, self.to_redis.port)
        self.players.append(self.worker(PLAYERS[-1], ports=last))
        self.hostile = Hostile(HOSTILE, self.broker.url, self.redis.url, self.journal)
        self.versions = Versions(self.redis.admin)
        for kept in (*self.learners.values(), *self.players):
            kept.start()
        self.endings = Endings(self.players, list(self.learners.values()), self.note)
        self._watcher.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._watcher.join(10)
        self.versions.close()
        self.hostile.close()
        for kept in (*self.players, *self.learners.values()):
            kept.thaw()
            kept.kill()
        for proxy in (self.to_broker, self.to_redis):
            proxy.close()
        self.broker.stop()
        self.redis.stop()

    def note(self, kind: str, text: str) -> None:
        """Notes something that must not be."""
        self.noted.append(Noted(kind, text, time.monotonic()))

    def worker(
        self,
        login: str,
        *,
        queues: str = "play",
        ports: tuple[int, int] | None = None,
        **environment: str,
    ) -> Kept:
        """A worker with one pool child, as workers/player/start.sh starts it."""
        command = [*_PYTHON, "-m", "celery", "-A", "tinyqueue", "worker", "-Q", queues, "-c", "1"]
        command += ["-n", f"{login}@%h", "--loglevel", "INFO"]
        command += ["--without-gossip", "--without-mingle"]
        broker_port, redis_port = ports or (None, None)
        modules = {
            "TINYQUEUE_BROKER_URL": self.broker.url(login, broker_port),
            "TINYQUEUE_REDIS_URL": self.redis.url("player", redis_port),
            "TINYQUEUE_DECLARE": "0",
            "TINYQUEUE_ENVIRONMENT_MODULES": "lethal",
            **environment,
        }
        return Kept(login, command, self._environment(modules), self.folder)

    def learner(self, name: str, *options: str, **environment: str) -> Kept:
        """``tinyqueue learner start`` for one of the experiments."""
        given = [w for key, value in EXPERIMENTS[name].items() for w in ("--set", f"{key}={value}")]
        command = [*_PYTHON, "-m", "tinyqueue.cli.main", "learner", "start", name, *given, *options]
        urls = {
            "TINYQUEUE_BROKER_URL": self.broker.url("learner"),
            "TINYQUEUE_REDIS_URL": self.redis.url("learner"),
        }
        label = environment.pop("label", f"learner-{name}")
        return Kept(label, command, self._environment({**urls, **environment}), self.folder)

    def mend(self) -> None:
        """Starts what has ended again, as a service manager would."""
        self.mend_learners()
        self._start_ended(self.players)

    def mend_learners(self) -> None:
        """Learners alone."""
        self._start_ended(self.learners.values())

    def _start_ended(self, all_kept: Iterable[Kept]) -> None:
        for kept in all_kept:
            if not kept.process.is_running:
                self.endings.look()
                kept.start()

    def _learner(self, name: str, broker_port: int | None, redis_port: int | None) -> Kept:
        return self.learner(
            name,
            TINYQUEUE_BROKER_URL=self.broker.url("learner", broker_port),
            TINYQUEUE_REDIS_URL=self.redis.url("learner", redis_port),
        )

    def _environment(self, extra: dict[str, str]) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("TINYQUEUE_")}
        path = [str(ROOT), str(ROOT / "tests" / "faults"), os.environ.get("PYTHONPATH", "")]
        return {
            **kept,
            "TINYQUEUE_RUNS_DIR": str(self.runs),
            "TINYQUEUE_PUBLISH_JOURNAL": str(self.journal),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            **extra,
        }

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            self.endings.look()
            now_s = time.monotonic()
            for progress in self.progress.values():
                progress.sample(now_s)
