"""A run that cannot get on ends, and nobody else's run does."""

from __future__ import annotations

from dataclasses import replace

from failing_tasks import Clock, failure

from tinyqueue.experience.setbacks import Setbacks
from tinyqueue.wire.failures import ENDED, LOST, TaskFailure


def test_a_run_in_which_every_task_fails_ends_with_the_reason(
    setbacks: Setbacks, clock: Clock
) -> None:
    setbacks.failed(failure())
    clock.now_s += 59
    assert setbacks.hopeless() == ""

    clock.now_s += 2
    assert "no display" in setbacks.hopeless()


def test_a_run_that_had_hardly_begun_ends_a_minute_after_its_last_batch(
    setbacks: Setbacks, clock: Clock
) -> None:
    setbacks.accepted()
    for _ in range(62):
        clock.now_s += 1
        setbacks.failed(failure())

    assert "no display" in setbacks.hopeless()


def test_a_run_that_has_been_going_is_waited_for_longer(setbacks: Setbacks, clock: Clock) -> None:
    for _ in range(100):
        clock.now_s += 1
        setbacks.accepted()
    for second in range(400):
        clock.now_s += 1
        setbacks.failed(failure())
        assert bool(setbacks.hopeless()) == (second >= 300)


def test_failures_of_before_are_no_reason_once_batches_come_again(
    setbacks: Setbacks, clock: Clock
) -> None:
    setbacks.failed(failure())
    clock.now_s += 30
    setbacks.accepted()
    clock.now_s += 600

    assert setbacks.hopeless() == ""


def test_silence_alone_is_no_reason_to_give_up(setbacks: Setbacks, clock: Clock) -> None:
    clock.now_s += 3600

    assert setbacks.hopeless() == ""


def test_one_failure_and_then_silence_is_players_that_left(
    setbacks: Setbacks, clock: Clock
) -> None:
    for _ in range(100):
        clock.now_s += 1
        setbacks.accepted()
    setbacks.failed(failure())
    for _ in range(3600):
        clock.now_s += 1
        assert setbacks.hopeless() == ""


def test_a_run_that_sets_most_batches_aside_for_a_minute_ends(
    setbacks: Setbacks, clock: Clock
) -> None:
    for second in range(70):
        clock.now_s = 100.0 + second
        setbacks.accepted()
        for _ in range(2):
            setbacks.aside("reward", "reward -1e9 in slot 3", "host:1")

    assert "were set aside" in setbacks.hopeless()
    assert "slot 3" in setbacks.hopeless()


def test_a_login_that_floods_ends_no_run_that_another_plays_for(
    setbacks: Setbacks, clock: Clock
) -> None:
    # Given a player whose environment takes two minutes for a batch.
    setbacks.accepted("rack")
    for second in range(1, 1000):
        clock.now_s += 1
        for _ in range(100):
            setbacks.aside("malformed", "no body", "", "mallory")
        setbacks.failed(failure("OSError", "no display", "x"), "mallory")
        if second % 120 == 0:
            setbacks.accepted("rack")

        assert setbacks.hopeless() == ""


def test_a_login_that_floods_after_one_good_batch_ends_no_run_either(
    setbacks: Setbacks, clock: Clock
) -> None:
    for login in ("rack", "mallory"):
        setbacks.accepted(login)
    for _ in range(1000):
        clock.now_s += 1
        setbacks.aside("malformed", "no body", "", "mallory")

        # The others have only left.
        assert setbacks.hopeless() == ""


def test_a_run_in_which_every_login_fails_ends(setbacks: Setbacks, clock: Clock) -> None:
    for login in ("rack", "hall"):
        setbacks.accepted(login)
    for _ in range(70):
        clock.now_s += 1
        for login in ("rack", "hall"):
            setbacks.failed(failure(), login)

    assert "no display" in setbacks.hopeless()


def test_a_login_that_has_left_keeps_a_failing_run_alive_for_a_bounded_time(
    setbacks: Setbacks, clock: Clock
) -> None:
    for _ in range(200):
        clock.now_s += 1
        for login in ("rack", "hall"):
            setbacks.accepted(login)
    # The hall is switched off.
    ended_after_s = 0
    while not setbacks.hopeless():
        clock.now_s += 1
        ended_after_s += 1
        setbacks.aside("dtype", "observations are float64", "rack:1", "rack")

    assert ended_after_s == 3600


def test_rubbish_ends_no_run_whose_players_still_build_their_environments(
    setbacks: Setbacks, clock: Clock
) -> None:
    for _ in range(299):
        clock.now_s += 1
        setbacks.aside("malformed", "no body", "", "mallory")
        setbacks.failed(failure(), "mallory", was_sent=False)
        assert setbacks.hopeless() == ""
    setbacks.accepted("rack")
    for _ in range(1000):
        clock.now_s += 1
        setbacks.aside("malformed", "no body", "", "mallory")
        assert setbacks.hopeless() == ""


def test_rubbish_alone_ends_a_run_in_the_end(setbacks: Setbacks, clock: Clock) -> None:
    for _ in range(302):
        clock.now_s += 1
        setbacks.aside("schema", "schema 1", "", "old")

    assert "schema 1" in setbacks.hopeless()


def test_rubbish_hides_no_failure_of_real_players(setbacks: Setbacks, clock: Clock) -> None:
    for second in range(62):
        clock.now_s += 1
        setbacks.failed(failure(), "rack")
        if second < 10:
            setbacks.aside("malformed", "no body", "", "mallory")

    assert setbacks.hopeless()


def test_before_the_first_batch_every_login_with_players_must_fail(
    setbacks: Setbacks, clock: Clock
) -> None:
    setbacks.failed(failure(), "hall")
    clock.now_s += 30
    for second in range(1000):
        clock.now_s += 1
        setbacks.aside("dtype", "observations are float64", "x:1", "rack")

        # From second 31 on the hall does not fail: it may be building. In the end it has left.
        assert bool(setbacks.hopeless()) == (second in {29, 30} or second >= 269)


def lost(task: int) -> TaskFailure:
    return replace(failure(LOST, "it came again"), task=f"t{task}")


def test_tasks_that_come_again_end_no_run_that_has_had_batches(
    setbacks: Setbacks, clock: Clock
) -> None:
    for _ in range(100):
        clock.now_s += 1
        setbacks.accepted()
    for second in range(1000):
        clock.now_s += 1
        setbacks.failed(lost(second))
        assert setbacks.hopeless() == ""

    # What ends processes does, as before.
    for _ in range(310):
        clock.now_s += 1
        setbacks.failed(failure(f"{ENDED}: SIGKILL", "its process was ended"))
    assert "its process was ended" in setbacks.hopeless()


def test_where_nothing_but_that_has_come_it_is_waited_for_longer(
    setbacks: Setbacks, clock: Clock
) -> None:
    for second in range(300):
        clock.now_s += 1
        setbacks.failed(lost(second))
        assert setbacks.hopeless() == ""

    for second in range(300, 310):
        clock.now_s += 1
        setbacks.failed(lost(second))
    assert "came again" in setbacks.hopeless()
