"""How fast the session log is written, and how long a restart from it takes.

These are measures of ``benchmarks/replay.py``. Run as a script, this is the restarted process:

    python benchmarks/session_log.py FOLDER
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from tinyqueue.catalogue import make_experiment
from tinyqueue.data.session import Header, SessionBatch
from tinyqueue.envs.describe import describe
from tinyqueue.experience.replay_memory import ReplayMemory
from tinyqueue.learner.build import build
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.ledger.marks import Mark, StoredBody
from tinyqueue.ledger.session_log import SessionLog
from tinyqueue.wire.sessions import encode_session

RUN = "c" * 32
STAGE = "a" * 32
TICKS, SLOTS = 32, 32
STEPS = 1_000_000
BODY_BYTES = 100_000
WRITTEN_BYTES = 1_000_000_000
GROUP = 8
"""Batches that a consumer commits together while players are ahead of training."""


def log_mb_per_s() -> float:
    """MB (10⁶ bytes) per second for bodies of 100 kB, committed in groups with synchronous=FULL."""
    rng = np.random.default_rng(1)
    bodies = [StoredBody(rng.bytes(BODY_BYTES), {}) for _ in range(32)]
    count = WRITTEN_BYTES // BODY_BYTES
    marks = (Mark(f"{STAGE}:{n}", "accepted", "", 1024, (), bodies[n % 32]) for n in range(count))
    with tempfile.TemporaryDirectory() as folder:
        start_s = time.perf_counter()
        write(Path(folder), marks)
        return WRITTEN_BYTES / 1e6 / (time.perf_counter() - start_s)


def restart_s() -> float:
    """Seconds from the start of a process to its first update, a million transitions logged."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), marks_of_sessions())
        start_s = time.perf_counter()
        subprocess.run([sys.executable, __file__, folder], check=True)
        return time.perf_counter() - start_s


def write(folder: Path, marks: Iterable[Mark]) -> None:
    """Writes a ledger with its session log, committing batches in groups."""
    waiting = iter(marks)
    with Ledger(folder / "sessions.db", experiment="pole", run=RUN, keeps_bodies=True) as ledger:
        while group := list(islice(waiting, GROUP)):
            ledger.record(group)


def marks_of_sessions() -> Iterator[Mark]:
    """Marks with a million transitions of four numbers, in episodes of 200."""
    rng = np.random.default_rng(1)
    values = rng.random((TICKS, SLOTS), np.float32)
    for n in range(STEPS // (TICKS * SLOTS)):
        place = (np.arange(TICKS)[:, None] + n * TICKS + np.arange(SLOTS)) % 201
        batch = SessionBatch(
            header=Header("pole", RUN, STAGE, n, "user", "player", 1, 1),
            observations={"": rng.random((TICKS + 1, SLOTS, 4), np.float32)},
            actions={"": rng.integers(0, 2, (TICKS, SLOTS)).astype(np.uint8)},
            rewards=values,
            terminated=place == 199,
            truncated=np.zeros((TICKS, SLOTS), bool),
            valid=place != 200,
            extras={"q_taken": values, "q_max": values},
            carry={
                "episode_steps": (place[0] % 200).astype(np.int32),
                "previous_action": np.zeros(SLOTS, np.uint8),
                "previous_reward": np.zeros(SLOTS, np.float32),
            },
        )
        sent = encode_session(batch)
        body = StoredBody(sent.body, sent.headers)
        yield Mark(f"{STAGE}:{n}", "accepted", env_steps=batch.env_steps, body=body)


def train_once(folder: Path) -> None:
    """What a learner does from its start to the first update, except for the services."""
    experiment = make_experiment(
        {
            "name": "pole",
            "environment": {"id": "CartPole-v1"},
            "algorithm": {"name": "apex"},
            "session": {"ticks": TICKS, "slots": SLOTS},
            "replay": {"capacity_steps": STEPS},
        }
    )
    built = build(experiment, describe(experiment.environment), RUN)
    plan = built.algorithm.replay
    assert plan is not None
    memory = ReplayMemory(experiment, plan, built.contract)
    file = folder / "sessions.db"
    with Ledger(file, experiment="pole", run=RUN) as ledger, SessionLog(file) as log:
        memory.restore(log.batches(), ledger.env_steps, None, 0)
    assert memory.replay.size > 0.98 * STEPS
    built.algorithm.prepare(plan.unroll or 1, plan.batch_size)
    built.algorithm.update(memory.sample(0), STEPS)


if __name__ == "__main__":
    train_once(Path(sys.argv[1]))
