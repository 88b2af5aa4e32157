"""Given kill -9 of a whole learner with a replay, again and again: it goes on where it was."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import numpy as np
import pytest
from checker import VersionLog, judge, watching_versions
from cluster import ENDLESS, Cluster, Process

from tinyqueue.data.schedules import Linear
from tinyqueue.ledger.ledger import read_count
from tinyqueue.ledger.session_log import SessionLog
from tinyqueue.run.checkpoint import Checkpoint
from tinyqueue.run.checkpoints import CheckpointReader

pytestmark = [pytest.mark.integration, pytest.mark.faults]

KILLS = int(os.environ.get("TINYQUEUE_TEST_KILLS", "5"))
"""``make kills`` does 50."""
NAME = "cartpole-dqn"
EPSILON = Linear(1.0, 0.05, 2_000_000)
TARGET_EVERY = 600
SETTINGS = {
    "stop.max_env_steps": 1_000_000_000,
    "replay.capacity_steps": 1_000_000,  # nothing is evicted: what is restored can be counted
    "replay.samples_per_insert": 4,
    "algorithm.exploration_end": EPSILON.end,
    "algorithm.exploration_steps": EPSILON.over_steps,
    "algorithm.target_every_updates": TARGET_EVERY,
    "learner.checkpoint_every_s": 0.3,
}
WORDS = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]


@pytest.mark.parametrize("services", ["embedded"], indirect=True)
@pytest.mark.timeout(120 + 30 * KILLS)
def test_killed_learners_go_on_with_replay_step_exploration_and_target(cluster: Cluster) -> None:
    seed = int(os.environ.get("TINYQUEUE_TEST_SEED") or random.randrange(2**31))
    print(f"TINYQUEUE_TEST_SEED={seed}")
    rng = random.Random(seed)
    worker = cluster.worker()
    compared = 0
    with watching_versions(cluster.redis, NAME) as versions:
        learner = cluster.learner(*ENDLESS, *WORDS, target=NAME)
        cluster.until(lambda: updates(cluster) > TARGET_EVERY, "a copied target network")
        run = cluster.run_path(NAME)
        kills = 0
        # Now and then every target network is copied again before it was looked at.
        while kills < KILLS or not compared:
            cluster.trains_on(1_000, experiment=NAME)
            time.sleep(rng.uniform(0.0, 1.0))
            learner.kill()
            kills += 1
            if kills % 5 == 4:
                learner = cluster.learner(*ENDLESS, *WORDS, target=NAME)
                time.sleep(rng.uniform(0.5, 5.0))  # somewhere in its start
                learner.kill()
                kills += 1
            left = Left(run, versions)
            learner = cluster.learner(*ENDLESS, *WORDS, target=NAME)
            compared += left.must_be_gone_on_with(cluster, learner)
        end_in_order(cluster, run, learner, worker)

    said = cluster.tinyqueue("info", str(run), "--json")
    count = json.loads(said.stdout)[NAME]["count"]
    assert count["unbalanced"] == 0
    assert (
        count["attempted"] == count["accepted"] + sum(count["dropped"].values()) + count["missing"]
    )
    assert versions.falls == []
    judge(cluster.journal, run).must_balance()
    print(f"{compared} target networks compared; {count}")


class Left:
    """What a killed learner left on the disk."""

    def __init__(self, run: Path, versions: VersionLog) -> None:
        self._run, self._versions = run, versions
        self._published = len(versions.versions)
        self._checkpoint = newest(run)
        self._accepted = read_count(run / "sessions.db").env_steps
        with SessionLog(run / "sessions.db") as log:
            self._last = log.numbers.stop - 1
            self._logged = sum(entry.env_steps for entry in log.entries())

    def must_be_gone_on_with(self, cluster: Cluster, learner: Process) -> bool:
        """Whether the target network could be compared."""
        cluster.until(lambda: newest(self._run).updates > self._checkpoint.updates, "a checkpoint")
        cluster.until(lambda: cluster.env_steps(NAME) > self._accepted, "new experience")
        before, after = self._checkpoint, newest(self._run)
        here = f"{before.env_steps:,} env steps (update {before.updates:,})"
        assert f"resumed from the checkpoint at {here}" in learner.printed
        assert self._logged == self._accepted
        assert f"items of {self._logged:,} env steps in" in learner.printed
        assert after.env_steps >= self._accepted
        self._explores_as_before(cluster)
        if before.updates // TARGET_EVERY != after.updates // TARGET_EVERY:
            return False
        assert differences(before, after, "model/") > 0
        assert differences(before, after, "target/") == 0
        return before.updates > TARGET_EVERY

    def _explores_as_before(self, cluster: Cluster) -> None:
        """ε follows the accepted env steps, not a clock that a restart sets back."""
        epsilons = cluster.until(self._new_epsilons, "play by weights that were published since")
        now = read_count(self._run / "sessions.db").env_steps
        assert EPSILON(now) <= min(epsilons) <= max(epsilons) <= EPSILON(self._accepted)

    def _new_epsilons(self) -> list[float]:
        first = self._versions.versions[self._published]
        with SessionLog(self._run / "sessions.db") as log:
            played = [batch.header for _, batch in log.batches(self._last + 1)]
        return [e for header in played if header.policy_version >= first for e in header.epsilons]


def newest(run: Path) -> Checkpoint:
    reader = CheckpointReader(run / "checkpoints")
    checkpoint = reader.newest()
    assert checkpoint is not None
    assert reader.warnings == []
    return checkpoint


def differences(one: Checkpoint, other: Checkpoint, group: str) -> int:
    """How many arrays of that group differ."""
    names = [name for name in one.state if name.startswith(group)]
    assert names
    return sum(not np.array_equal(one.state[name], other.state[name]) for name in names)


def updates(cluster: Cluster) -> int:
    return int(cluster.status(NAME).get("updates", 0))


def end_in_order(cluster: Cluster, run: Path, learner: Process, worker: Process) -> None:
    worker.terminate()
    assert worker.wait() == 0, worker.printed
    cluster.until(lambda: not judge(cluster.journal, run).lost, "everything has a fate")
    learner.terminate()
    assert learner.wait() == 0, learner.printed
