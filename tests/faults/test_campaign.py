"""Given faults of every kind in a random order: two runs go on, and what was confirmed is kept."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from fault_campaign.campaign import run_campaign
from fault_campaign.table import FAULTS, schedule

pytestmark = [pytest.mark.integration, pytest.mark.faults]

COUNT = 26
"""``make faults`` does 300, and longer ones."""


@pytest.mark.timeout(1800)
def test_two_experiments_go_on_whatever_fails_and_every_batch_has_one_fate(tmp_path: Path) -> None:
    seed = int(os.environ.get("TINYQUEUE_TEST_SEED") or random.randrange(2**31))
    print(f"TINYQUEUE_TEST_SEED={seed}")

    planned = schedule(COUNT, seed, [], short=True)
    report = run_campaign(planned, seed, tmp_path / "campaign", print)

    print(report.table())
    assert report.wrong == []
    assert len(report.results) == COUNT


def test_a_seed_repeats_its_schedule_and_a_round_has_every_fault_once() -> None:
    planned = schedule(2 * len(FAULTS), 7, [])

    assert planned == schedule(2 * len(FAULTS), 7, [])
    assert planned != schedule(2 * len(FAULTS), 8, [])
    for half in (planned[: len(FAULTS)], planned[len(FAULTS) :]):
        assert {one.fault.name for one in half} == FAULTS.keys()
    assert [one.number for one in planned] == list(range(1, 2 * len(FAULTS) + 1))
    for one in planned:
        assert one.fault.least_s <= one.lasts_s <= one.fault.most_s
