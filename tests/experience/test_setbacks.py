"""The first of each kind is said at once, then a count; and a run that cannot get on ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyqueue.experience.setbacks import MOST_KINDS, MOST_LOGINS, MOST_REMARKS, Setbacks
from tinyqueue.wire.failures import LOST, TaskFailure


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def setbacks(said: list[str], clock: Clock) -> Setbacks:
    return Setbacks(said.append, 60.0, clock)


def failure(kind: str = "OSError", text: str = "no display", player: str = "host:1") -> TaskFailure:
    return TaskFailure("t", "pole", "r", kind, text, player, "me")


def test_the_first_of_each_kind_is_said_at_once_with_the_players_name(
    setbacks: Setbacks, said: list[str]
) -> None:
    setbacks.failed(failure())
    setbacks.failed(failure(player="host:2"))
    setbacks.failed(failure("ValueError", "bad shape"))

    assert said == [
        "player host:1 cannot play: no display",
        "player host:1 cannot play: bad shape",
    ]


def test_an_evaluation_that_no_worker_plays_is_said_and_ends_no_run(
    setbacks: Setbacks, said: list[str], clock: Clock
) -> None:
    for _ in range(600):
        clock.now_s += 1
        setbacks.not_evaluated(failure("wrongpass", "a wrong password"))

    assert said == ["player host:1 cannot evaluate, so the learner does: a wrong password"]
    assert setbacks.counts() == {"evaluation: wrongpass": 600}
    assert setbacks.hopeless() == ""


def test_a_task_is_given_up_where_others_are_played(setbacks: Setbacks, said: list[str]) -> None:
    setbacks.accepted()
    setbacks.failed(failure())

    assert said == ["player host:1 gave up a task: no display"]


def test_then_a_count_ever_more_rarely(setbacks: Setbacks, said: list[str], clock: Clock) -> None:
    for second in range(120):
        clock.now_s = 100.0 + second
        setbacks.failed(failure(player=f"host:{second % 2}"))
        setbacks.look()

    assert len(said) == 4  # At 0, 10, 30 and 70 s.
    assert said[1].endswith("cannot play: no display [11 times, 2 players]")


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


def test_faults_of_one_kind_are_said_once_whatever_their_step_and_slot(
    setbacks: Setbacks, said: list[str]
) -> None:
    for step in range(100):
        slot = step % 8
        setbacks.fault("host:1", f"Maze-v3 failed in step {step} in slot {slot}: OSError: lost", 1)
    setbacks.fault("host:1", "Maze-v3 failed in step 7 in slot 1: ValueError: bad shape", 1)

    assert len(said) == 2
    assert [*setbacks.counts().values()] == [100, 1]


def test_invented_faults_leave_room_for_failures(setbacks: Setbacks, said: list[str]) -> None:
    for letter in range(1000):
        setbacks.fault("host:1", f"{chr(0x4E00 + letter)}: lost", 1)
    setbacks.failed(failure())

    assert said[-1] == "player host:1 cannot play: no display"
    assert len(said) <= MOST_KINDS + 2


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


def test_a_few_percent_set_aside_are_warned_of_once_and_go_on(
    setbacks: Setbacks, said: list[str], clock: Clock
) -> None:
    for second in range(100):
        clock.now_s = 100.0 + second
        for _ in range(9):
            setbacks.accepted()
        setbacks.aside("reward", "too large")

    assert sum("10%" in line and "set aside" in line for line in said) == 1
    assert setbacks.hopeless() == ""


def test_a_task_that_comes_again_is_said_only_where_it_means_something(
    setbacks: Setbacks, said: list[str]
) -> None:
    setbacks.accepted()
    for _ in range(2):
        setbacks.failed(failure(LOST, "it came again"))
    assert said == []
    assert [remark.partition(" came again")[0] for remark in setbacks.closing_remarks()] == [
        "2 play tasks"
    ]

    setbacks.failed(failure(LOST, "it came again"))
    assert said == ["player host:1: it came again"]
    assert setbacks.closing_remarks() == []


def test_tasks_that_failed_while_others_were_played_are_told_of_at_the_end(
    setbacks: Setbacks,
) -> None:
    setbacks.accepted("a")
    late = failure("time-limit", "a play task was not over within its limit of 6 s.")
    for login in ("a", "a", "b"):
        setbacks.failed(late, login)
    setbacks.failed(failure("hang", "a step did not return"), "a")
    setbacks.not_evaluated(failure("OSError", "no display"), "a")
    setbacks.failed(failure(LOST, "it came again"), "a")

    assert setbacks.closing_remarks() == [
        "3 play tasks failed, first: player host:1 gave up a task: a play task was not over within "
        "its limit of 6 s",
        "a play task failed, first: player host:1 of login a gave up a task: a step did not return",
        "a worker's evaluation failed, first: player host:1 cannot evaluate, so the learner does: "
        "no display",
        "a play task came again: the process that played it ended without a word (its environment "
        "crashed it, it ran out of memory, or it was killed), or lost its broker",
    ]


def test_the_failures_of_a_run_in_which_nothing_was_played_are_its_end(
    setbacks: Setbacks,
) -> None:
    setbacks.failed(failure())

    assert setbacks.closing_remarks() == []


def test_remarks_on_kinds_that_a_sender_invents_are_few(setbacks: Setbacks) -> None:
    setbacks.accepted()
    for number in range(100):
        setbacks.failed(failure(f"kind {number}"))

    remarks = setbacks.closing_remarks()
    assert len(remarks) == MOST_REMARKS + 1
    assert remarks[0].startswith("68 play tasks failed, first: ")
    assert remarks[-1] == "30 play tasks failed otherwise"


def test_kinds_that_a_sender_invents_are_bounded(setbacks: Setbacks, said: list[str]) -> None:
    for number in range(1000):
        setbacks.failed(failure(f"kind {number}"))

    assert len(setbacks.counts()) <= MOST_KINDS + 1
    assert sum(setbacks.counts().values()) == 1000
    assert len(said) <= MOST_KINDS + 1


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


def test_what_one_login_invents_hides_nothing_of_another(
    setbacks: Setbacks, said: list[str]
) -> None:
    for number in range(1000):
        setbacks.failed(failure(f"kind {number}"), "mallory")
    setbacks.failed(failure("MissingExtraError", "install it"), "rack")

    assert said[-1].endswith("install it")
    assert setbacks.counts()["failed: MissingExtraError"] == 1


def test_logins_and_their_players_are_remembered_within_bounds(setbacks: Setbacks) -> None:
    for number in range(10_000):
        login = f"login {number % 1000}"
        setbacks.aside("malformed", "no body", f"ghost {number}", login)

    assert len(setbacks._logins) <= MOST_LOGINS + 1
    players = [len(kind.players) for kind in setbacks._kinds()]
    assert max(players) <= 64
    assert sum(setbacks.counts().values()) == 10_000


def test_the_share_set_aside_is_warned_of_for_each_login(
    setbacks: Setbacks, said: list[str]
) -> None:
    for login in ("rack", "hall"):
        for number in range(20):
            setbacks.accepted(login)
            if login == "hall" and number % 4 == 0:
                setbacks.aside("reward", "too large", "", login)

    assert [line for line in said if "%" in line] == [
        "23% of the session batches of login hall are set aside and not learned from; "
        "`tinyqueue info` counts them by reason"
    ]


@given(
    st.lists(st.sampled_from(["accepted", "aside", "taken back", "a minute"]), max_size=60),
    st.sampled_from([1e-3, 0.4, 1.0, 60.0]),
)
def test_batches_may_be_taken_back_that_an_earlier_process_accepted(
    happened: list[str], give_up_after_s: float
) -> None:
    clock = Clock()
    setbacks = Setbacks(lambda _: None, give_up_after_s, clock)
    for event in happened:
        clock.now_s += 60.0 if event == "a minute" else 0.5
        if event == "accepted":
            setbacks.accepted("rack")
        elif event != "a minute":
            took_back = event == "taken back"
            setbacks.aside("not-finite", "it", "", "rack", was_accepted=took_back)
        setbacks.hopeless()

    record = setbacks._of("rack")
    assert record.accepted >= 0
    assert min(record.windowed(0.0)) >= 0
    assert record.aside == sum(event in {"aside", "taken back"} for event in happened)
