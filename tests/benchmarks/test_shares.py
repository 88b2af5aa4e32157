"""Shares of CPU seconds, from samples with round numbers."""

from __future__ import annotations

import importlib

import pytest


def test_all_cpu_seconds_of_a_window_are_shared_out():
    shares, measuring = (importlib.import_module(name) for name in ("shares", "measuring"))
    # Given a learner of 50 s, 4 of them in its consumer and 1 in other threads; players of 60 s,
    # 5 of them for the bus; servers of 10 s
    before = measuring.PlayerAccount(batches=3, refused=0, play_cpu_s=1.0, bus_cpu_s=1.0)
    after = measuring.PlayerAccount(batches=9, refused=2, play_cpu_s=40.0, bus_cpu_s=6.0)
    first = shares.Sample(10.0, 7.0, 1.0, 1.0, 20.0, 5.0, before)
    last = shares.Sample(70.0, 57.0, 5.0, 2.0, 80.0, 15.0, after)
    # And a stage that spends 6, 3 and 1 of 10 s on emulation, inference and recording
    playing = shares.Playing(emulation=6.0, inference=3.0, rest=1.0)

    found = shares.shares(first, last, playing)

    # 33, 16.5, 19, 45 and 6.5 of 120 s
    assert found == {
        "emulation": 0.275,
        "inference": pytest.approx(0.1375, abs=6e-4),
        "wire": 0.158,
        "training": 0.375,
        "rest": 0.054,
    }
    assert sum(found.values()) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("spent", [(1, 1, 1), (2, 0, 1), (1e-6, 3, 1e9)])
def test_they_add_up_to_one_in_spite_of_rounding(spent):
    shares = importlib.import_module("shares")
    rounded = shares._rounded(dict(zip("abc", spent, strict=True)))
    assert sum(round(1000 * part) for part in rounded.values()) == 1000
