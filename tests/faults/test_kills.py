"""Given kill -9 of any process in the middle of a run: training goes on, and nothing is lost."""

from __future__ import annotations

import os
import signal

import pytest
from checker import Verdict, judge, watching_versions
from cluster import ENDLESS, PRESET, Cluster, Process

from tinyqueue.run.checkpoints import Checkpoints

pytestmark = [pytest.mark.integration, pytest.mark.faults]

OFTEN = ("--set", "learner.checkpoint_every_s=0.5")


def test_a_pool_child_a_worker_and_the_learner_are_killed_and_the_count_balances(
    cluster: Cluster,
) -> None:
    first, second = cluster.worker(), cluster.worker(children=2)
    with watching_versions(cluster.redis, PRESET) as log:
        learner = cluster.learner(*ENDLESS, *OFTEN)
        cluster.trains_on()

        (child,) = first.children
        os.kill(child, signal.SIGKILL)
        cluster.until(lambda: first.children not in ([], [child]), "a new pool child")
        cluster.trains_on()
        second.kill()
        cluster.trains_on()
        epoch, steps = lease_epoch(cluster), cluster.env_steps()
        learner.kill()
        versions_before = len(log.versions)

        learner = cluster.learner(*ENDLESS, *OFTEN)
        cluster.until(lambda: len(log.versions) > versions_before, "the learner is back")
        assert lease_epoch(cluster) > epoch
        cluster.trains_on()
        assert cluster.env_steps() > steps

        verdict = end_in_order(cluster, learner, first)

    checkpoint = Checkpoints(cluster.run_path() / "checkpoints", keep=3).newest()
    assert checkpoint is not None
    assert checkpoint.env_steps == verdict.books.env_steps
    assert "resumed from the checkpoint at" in learner.printed
    assert len(log.versions) > 20
    assert log.falls == []
    verdict.must_balance()


def lease_epoch(cluster: Cluster) -> int:
    return int(cluster.redis.hget(f"tinyqueue:{PRESET}:lease", "epoch") or 0)


def end_in_order(cluster: Cluster, learner: Process, *workers: Process) -> Verdict:
    """Ends the players, then the learner when nothing of theirs is under way any more."""
    for worker in workers:
        worker.terminate()
    for worker in workers:
        assert worker.wait() == 0, worker.printed
    run = cluster.run_path()
    cluster.until(lambda: not judge(cluster.journal, run).lost, "everything has a fate")
    learner.terminate()
    assert learner.wait() == 0, learner.printed
    return judge(cluster.journal, run)
