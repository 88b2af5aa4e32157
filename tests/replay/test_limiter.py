"""Given a limiter of 8 trained ticks per env step, a minimum of 100 steps, a tolerance of 64."""

from __future__ import annotations

import pytest

from tinyqueue.errors import ConfigError
from tinyqueue.replay.limiter import SamplesPerInsert


@pytest.fixture
def limiter() -> SamplesPerInsert:
    return SamplesPerInsert(8.0, 100, 64.0)


def test_nothing_is_sampled_below_the_minimum(limiter: SamplesPerInsert) -> None:
    limiter.inserted(99)
    assert not limiter.may_sample(1)
    assert limiter.may_insert()


def test_at_the_minimum_training_may_run_ahead_by_the_tolerance(limiter: SamplesPerInsert) -> None:
    limiter.inserted(100)
    assert limiter.may_sample(64)
    assert not limiter.may_sample(65)


def test_each_env_step_allows_its_ratio_of_samples(limiter: SamplesPerInsert) -> None:
    limiter.inserted(100)
    limiter.sampled(64)
    assert not limiter.may_sample(32)
    limiter.inserted(4)
    assert limiter.may_sample(32)
    assert not limiter.may_sample(33)


def test_players_wait_when_training_is_behind(limiter: SamplesPerInsert) -> None:
    limiter.inserted(108)
    assert limiter.may_insert()
    limiter.inserted(1)
    assert limiter.owed == 72.0
    assert not limiter.may_insert()
    limiter.sampled(8)
    assert limiter.may_insert()


def test_the_first_fill_is_not_held_back() -> None:
    limiter = SamplesPerInsert(0.5, 1000, 1.0)
    limiter.inserted(999)
    assert limiter.may_insert()


def test_no_training_is_owed_for_what_is_lost(limiter: SamplesPerInsert) -> None:
    kept = {"inserted": 1100, "sampled": 500, "owed": 7500.0}
    limiter.restore(kept, inserted=1100, held=1000)
    assert limiter.owed == 7500.0
    limiter.restore(kept, inserted=1100, held=10)
    assert limiter.owed == 80.0
    limiter.restore(kept, inserted=1100, held=0)
    assert (limiter.owed, limiter.may_insert(), limiter.may_sample(64)) == (0.0, True, True)


@pytest.mark.parametrize("ratio", [0.5, 8.0, 64.0])
def test_another_ratio_holds_from_the_restart_on(limiter: SamplesPerInsert, ratio: float) -> None:
    # Given as much training as 8 per env step asks for
    limiter.inserted(50_100)
    limiter.sampled(400_000)

    other = SamplesPerInsert(ratio, 100, 64.0)
    other.restore(limiter.state(), inserted=50_100, held=10_000)

    assert other.owed == 0.0
    other.inserted(10)
    assert other.owed == 10 * ratio


def test_what_was_sampled_and_not_trained_on_is_owed_again(limiter: SamplesPerInsert) -> None:
    limiter.inserted(110)
    limiter.sampled(64)
    assert limiter.state(untrained=32) == {"inserted": 110, "sampled": 32, "owed": 48.0}


@pytest.mark.parametrize("sampled_first", [True, False])
def test_one_side_may_always_go_on(sampled_first: bool) -> None:
    limiter = SamplesPerInsert(8.0, 100, 32.0)
    limiter.inserted(100)
    for _ in range(1000):
        may_sample, may_insert = limiter.may_sample(64), limiter.may_insert()
        assert may_sample or may_insert
        if may_sample and (sampled_first or not may_insert):
            limiter.sampled(64)
        else:
            limiter.inserted(7)


def test_counts_survive_a_restart(limiter: SamplesPerInsert) -> None:
    limiter.inserted(108)
    limiter.sampled(20)
    restored = SamplesPerInsert(8.0, 100, 64.0)
    restored.restore(limiter.state(), inserted=108, held=108)
    assert restored.owed == limiter.owed == 44.0


@pytest.mark.parametrize("before", [0, 40, 99])
def test_a_start_before_the_minimum_owes_no_training_for_it(before: int) -> None:
    # Given a minimum that would be worth more training than the tolerance
    begun = SamplesPerInsert(8.0, 100, 64.0)
    if before:
        begun.inserted(before)

    limiter = SamplesPerInsert(8.0, 100, 64.0)
    limiter.restore(begun.state() if before else {}, inserted=before, held=before)
    limiter.inserted(100 - before)

    assert limiter.owed == 0.0
    limiter.inserted(5)
    assert limiter.owed == 40.0


def test_steps_that_were_not_committed_before_a_crash_are_owed_once() -> None:
    # Given 50 env steps in a checkpoint's count that the disk did not take before the crash
    before = SamplesPerInsert(8.0, 100, 640.0)
    before.inserted(150)

    after = SamplesPerInsert(8.0, 100, 640.0)
    after.restore(before.state(), inserted=100, held=100)
    assert after.owed == 0.0
    after.inserted(50)

    assert after.owed == before.owed == 400.0


@pytest.mark.parametrize(("minimum", "then_owed"), [(50, 0.0), (200, 160.0)])
def test_another_minimum_holds_from_the_restart_on(minimum: int, then_owed: float) -> None:
    begun = SamplesPerInsert(8.0, 100, 640.0)
    begun.inserted(80 if minimum < 100 else 120)

    limiter = SamplesPerInsert(8.0, minimum, 640.0)
    count = int(begun.state()["inserted"])
    limiter.restore(begun.state(), inserted=count, held=count)
    limiter.inserted(max(0, minimum - count))

    assert limiter.owed == then_owed
    limiter.inserted(1)
    assert limiter.owed == then_owed + 8.0


def test_sessions_without_a_checkpoint_owe_training_beyond_the_minimum() -> None:
    limiter = SamplesPerInsert(8.0, 100, 64.0)
    limiter.restore({}, inserted=150, held=150)
    assert limiter.owed == 400.0


@pytest.mark.parametrize("wrong", [(0.0, 1, 1.0), (1.0, 0, 1.0), (1.0, 1, 0.0)])
def test_what_is_not_possible_is_refused(wrong: tuple[float, int, float]) -> None:
    with pytest.raises(ConfigError, match="not possible"):
        SamplesPerInsert(*wrong)
