"""Where the CPU seconds of a run go: emulation, inference, wire, training, and the rest."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import PlayerAccount, children, cpu_s, is_server, total_cpu_s

from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.player.stage import Stage
from tinyqueue.policy.runner import PolicyRunner


@dataclass(frozen=True)
class Sample:
    """CPU seconds used so far.

    Attributes:
        at_s: When they were read, on the monotonic clock.
        learner: By the learner, in all threads.
        consumer: By the learner's consumer thread.
        threads: By the learner's other Python threads, except the one that trains; TensorFlow's
            own threads count as training.
        players: By the players.
        servers: By broker and store.
        account: The players' own account.
    """

    at_s: float
    learner: float
    consumer: float
    threads: float
    players: float
    servers: float
    account: PlayerAccount

    @classmethod
    def take(cls, own: int, players_log: Path) -> Sample:
        """Reads the clocks of this process, its threads and its children."""
        below = children(own)
        servers = [pid for pid, command in below.items() if is_server(command)]
        players = [pid for pid, command in below.items() if "celery" in command]
        besides = [t for t in threading.enumerate() if t is not threading.main_thread()]
        consumer = [t for t in besides if t.name.startswith("consumer")]
        other = [t for t in besides if t not in consumer]
        return cls(
            time.monotonic(),
            cpu_s(own),
            sum(cpu_s(own, t.native_id) for t in consumer),
            sum(cpu_s(own, t.native_id) for t in other),
            total_cpu_s(players),
            total_cpu_s(servers),
            PlayerAccount.read(players_log),
        )


@dataclass(frozen=True)
class Playing:
    """CPU seconds of a stage that plays in this process."""

    emulation: float
    inference: float
    rest: float

    @classmethod
    def measure(cls, spec: PlaySpec, runner: PolicyRunner, at_least_s: float = 3.0) -> Playing:
        """Plays one batch to warm up, then batches for at least ``at_least_s`` CPU seconds.

        Threads of the emulator count, so nothing else may run in this process meanwhile.
        """
        stage = Stage(spec, user="benchmark", player="benchmark", seed=1)
        environments, policy = _Timed(stage._environments, "step"), _Timed(runner, "run")
        stage._environments = environments  # type: ignore[assignment]
        try:
            stage.play(policy, "warm-up")
            environments.spent_s = policy.spent_s = 0.0
            began_s = time.process_time()
            while time.process_time() - began_s < at_least_s:
                stage.play(policy, "measured")
            all_s = time.process_time() - began_s
        finally:
            stage.close()
        rest_s = max(0.0, all_s - environments.spent_s - policy.spent_s)
        return cls(environments.spent_s, policy.spent_s, rest_s)


class _Timed:
    """Wraps an object and times one of its methods, in CPU seconds of the process."""

    def __init__(self, inner: Any, method: str) -> None:
        self._inner = inner
        self.spent_s = 0.0
        setattr(self, method, self._timed(getattr(inner, method)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any) -> Any:
            before_s = time.process_time()
            try:
                return call(*args)
            finally:
                self.spent_s += time.process_time() - before_s

        return timed


def shares(first: Sample, last: Sample, playing: Playing) -> dict[str, float]:
    """Shares of all CPU seconds between two samples; they add up to 1.

    ``wire``: broker and store, the learner's consumer, and the players' encoding and publishing.
    ``training``: the thread that trains, and TensorFlow's threads. The players' other time is split
    as in ``playing``; ``rest`` is that of the stage (recording, choosing actions) and of the
    learner's other threads, including the ledger's and a replay's.
    """
    learner_s = last.learner - first.learner
    consumer_s = last.consumer - first.consumer
    other_s = last.threads - first.threads
    players_s = last.players - first.players
    servers_s = last.servers - first.servers
    sent_s = last.account.bus_cpu_s - first.account.bus_cpu_s
    played_s = max(0.0, players_s - sent_s)
    of_play = played_s / (playing.emulation + playing.inference + playing.rest)
    spent = {
        "emulation": playing.emulation * of_play,
        "inference": playing.inference * of_play,
        "wire": servers_s + consumer_s + sent_s,
        "training": max(0.0, learner_s - consumer_s - other_s),
        "rest": playing.rest * of_play + other_s,
    }
    return _rounded(spent)


def _rounded(spent: dict[str, float]) -> dict[str, float]:
    """Shares of the sum in thousandths that add up to 1: the largest absorbs rounding errors."""
    whole = sum(spent.values())
    parts = {name: round(1000 * seconds / whole) for name, seconds in spent.items()}
    parts[max(parts, key=lambda name: parts[name])] += 1000 - sum(parts.values())
    return {name: part / 1000 for name, part in parts.items()}
