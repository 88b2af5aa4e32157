"""Given a learner with a replay that is killed -9 at any moment: it comes back as it was left.

All of the learner runs but TensorFlow, so that a life takes half a second.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import untrained_learner
from checker import judge, watching_versions
from cluster import Process
from plain_replay import PlainReplay
from playing import Playing, frame
from published_play import Players
from untrained_learner import BLOCKS, EXPERIMENT, NAME, PLAN, SLOTS, TICKS, Notes

from tinyqueue.data.identity import parse_batch_id
from tinyqueue.ledger.session_log import SessionLog
from tinyqueue.run.checkpoint import Checkpoint
from tinyqueue.run.checkpoints import CheckpointReader
from tinyqueue.run.run_directory import RunDirectory
from tinyqueue.store.client import connect

pytestmark = [pytest.mark.integration, pytest.mark.faults]

KILLS = {"embedded": 40, "rabbitmq": 10}
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Moment:
    """When to kill: a moment after something has begun.

    Attributes:
        during: What has to begin; ``ready`` means that nothing has to.
        after_s: Seconds before which its beginning does not count.
        later_s: Seconds from its beginning to the kill.
    """

    during: str
    after_s: float
    later_s: float


def moments(count: int, rng: random.Random) -> list[Moment]:
    kinds = ["checkpoint", "ready", "commit", "restore"] * (count // 4 + 1)
    return [
        Moment(kind, rng.uniform(0.05, 0.5), rng.uniform(0.0, 0.002) * rng.randrange(2))
        for kind in kinds[:count]
    ]


class Learner:
    """One life after the other in one run directory; the next process waits while one lives."""

    def __init__(self, services: Any, folder: Path) -> None:
        run = RunDirectory.create(folder / "runs", EXPERIMENT.document(), {})
        self.run, self.run_id = run.path, run.run_id
        run.close()
        self.notes = Notes(folder / "notes")
        self._folder = folder
        self._environment = {
            **os.environ,
            "TINYQUEUE_BROKER_URL": services.broker_url,
            "TINYQUEUE_REDIS_URL": services.redis_url,
        }
        self.lives = 0
        self._next = self._made()
        self.process = self._next

    def begin(self) -> Process:
        """The next life."""
        self.notes.clear()
        (self.run / "restored.npz").unlink(missing_ok=True)
        self.process, self._next = self._next, self._made()
        self.process.tell("begin")
        return self.process

    def kill(self, moment: Moment) -> list[str]:
        """Kills -9, and returns what was going on."""
        if moment.during != "restore":
            time.sleep(moment.after_s)
        self.wait_for(moment.during)
        time.sleep(moment.later_s)
        os.kill(self.process.pid, signal.SIGKILL)
        assert self.process.wait() == -signal.SIGKILL, self.process.printed
        return [name for name in ("restore", "checkpoint", "commit") if self.notes[name]]

    def end(self) -> None:
        self.process.terminate()
        assert self.process.wait() == 0, self.process.printed

    def close(self) -> None:
        self.process.kill()
        self._next.kill()

    def wait_for(self, name: str) -> None:
        """Returns when the process has noted it."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not self.notes[name]:
            assert self.process.is_running, self.process.printed
            assert time.monotonic() < deadline_s, f"no {name}: {self.process.printed}"
            time.sleep(0.0001)

    def _made(self) -> Process:
        self.lives += 1
        name = f"life-{self.lives}"
        command = [
            sys.executable,
            untrained_learner.__file__,
            str(self.run),
            str(self._folder / "notes"),
        ]
        log = self._folder / f"{name}.log"
        return Process(name, command, self._environment, log, reads=True)


class Left:
    """What is on the disk between two lives, and what the next one must make of it."""

    def __init__(self, run: Path, stages: list[Playing]) -> None:
        checkpoints = CheckpointReader(run / "checkpoints")
        self.checkpoint: Checkpoint | None = checkpoints.newest()
        assert checkpoints.warnings == []
        self.replay = PlainReplay(PLAN, stages, BLOCKS, 1)
        with SessionLog(run / "sessions.db") as log:
            self.ids = {row.number: row.batch_id for row in log.rows()}
            assert log.skipped == {}
            assert list(self.ids) == list(log.numbers)
        for number, batch_id in self.ids.items():
            stage, n = parse_batch_id(batch_id) or ("", 0)
            self.replay.add(number, n, int(stage, 16))
        # Nothing is trimmed that is held: only a block or two that close a stage are not made anew.
        assert len(self.replay.blocks) >= min(BLOCKS, max(self.ids, default=0)) - 3

    def must_be_restored(self, run: Path, printed: str) -> None:
        """The same items, with the checkpoint's priorities where it has some."""
        wanted = self.replay
        with np.load(run / "restored.npz") as found:
            frames = found["frames"].tolist()
            assert frames == sorted(wanted.items)
            items = [wanted.items[frame_] for frame_ in frames]
            for name, values in (
                ("next_frames", [item.next_stack for item in items]),
                ("actions", [item.action for item in items]),
                ("returns", [item.returns for item in items]),
                ("discounts", [item.discount for item in items]),
            ):
                assert found[name].tolist() == values, name
            kept = self._kept_priorities()
            priorities: list[Any] = [
                kept.get(frame_) or item.priority
                for frame_, item in zip(frames, items, strict=True)
            ]
            np.testing.assert_allclose(found["priorities"], priorities, rtol=1e-6)
        if wanted.blocks:
            said = f"{len(items):,} items of {wanted.env_steps:,} env steps"
            assert f"replay restored from the session log: {said}" in printed
        if self.checkpoint is not None:
            here = f"{self.checkpoint.env_steps:,} env steps (update {self.checkpoint.updates:,})"
            assert f"resumed from the checkpoint at {here}" in printed

    def _kept_priorities(self) -> dict[int, float]:
        """Frame → priority, 0 where there was no item."""
        kept: dict[int, float] = {}
        if self.checkpoint is None or not self.checkpoint.replay.arrays:
            return kept
        arrays = self.checkpoint.replay.arrays
        for number, powers in zip(arrays["numbers"], arrays["priorities"], strict=True):
            if int(number) in self.ids:
                stage, n = parse_batch_id(self.ids[int(number)]) or ("", 0)
                rows = np.arange(TICKS * SLOTS)
                for row, power in zip(rows.tolist(), powers.tolist(), strict=True):
                    slot, tick = divmod(row, TICKS)
                    kept[frame(int(stage, 16), slot, n * TICKS + tick)] = power
        return kept


@pytest.fixture
def learner(services: Any, tmp_path: Path) -> Iterator[Learner]:
    learner = Learner(services, tmp_path)
    yield learner
    learner.close()


def test_killed_at_random_moments_it_comes_back_with_its_replay_and_the_count_balances(
    services: Any, learner: Learner, tmp_path: Path
) -> None:
    seed = int(os.environ.get("TINYQUEUE_TEST_SEED") or random.randrange(2**31))
    print(f"TINYQUEUE_TEST_SEED={seed}")
    players = Players(services.broker_url, learner.run_id, tmp_path / "journal", seed)
    numbered: dict[int, str] = {}
    killed: Counter[str] = Counter()
    with connect(services.redis_url) as redis, watching_versions(redis, NAME) as versions:
        players.start()
        learner.begin()
        learner.wait_for("ready")
        for moment in moments(KILLS[services.kind], random.Random(seed)):
            killed.update(learner.kill(moment))
            left = Left(learner.run, players.stages)
            for number, batch_id in left.ids.items():
                assert numbered.setdefault(number, batch_id) == batch_id
            learner.begin()
            if moment.during != "commit":  # the next one comes before all is restored
                learner.wait_for("ready")
                left.must_be_restored(learner.run, learner.process.printed)
        players.stop()
        wait_for_a_fate(tmp_path / "journal", learner.run)
        learner.end()
        judge(tmp_path / "journal", learner.run).must_balance()
        left = Left(learner.run, players.stages)
        learner.begin()
        learner.wait_for("ready")
        left.must_be_restored(learner.run, learner.process.printed)
        learner.end()

    verdict = judge(tmp_path / "journal", learner.run)
    verdict.must_balance()
    books = verdict.books
    print(f"{killed}, {verdict.recovered} recovered, {books.duplicates} duplicates")
    # Every accepted batch is counted once, and its number is its own.
    assert books.by_fate == {"accepted": len(books.settled), "set aside": 0, "dropped": 0}
    assert books.env_steps == sum(players.env_steps[batch_id] for batch_id in books.settled)
    assert len(set(numbered.values())) == len(numbered) <= len(books.settled)
    assert max(numbered) <= len(books.settled)
    assert min(left.ids) > 1  # something was evicted and trimmed
    assert len(versions.versions) > KILLS[services.kind]
    assert versions.falls == []
    # Or the moments were not met.
    assert killed.keys() == {"commit", "checkpoint", "restore"}


def wait_for_a_fate(journal: Path, run: Path) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while judge(journal, run).lost:
        assert time.monotonic() < deadline_s, sorted(judge(journal, run).lost)
        time.sleep(0.1)
