"""The first of each kind is said at once, then a count; and what is told at the end."""

from __future__ import annotations

from dataclasses import replace

from failing_tasks import Clock, failure
from hypothesis import given
from hypothesis import strategies as st

from tinyqueue.experience.login_record import MOST_UNSETTLED
from tinyqueue.experience.setbacks import MOST_KINDS, MOST_LOGINS, MOST_REMARKS, Setbacks
from tinyqueue.wire.failures import ENDED, LOST


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
    assert [remark.partition(" came again")[0] for remark in setbacks.closing_remarks()] == [
        "3 play tasks"
    ]


def test_processes_that_end_in_tasks_are_told_of_at_once_by_count_and_at_the_end(
    setbacks: Setbacks, said: list[str], clock: Clock
) -> None:
    setbacks.accepted()
    how = "its process ended with exit code 0 in the middle of a task in Snake-v0"
    for player in range(15):
        setbacks.failed(failure(f"{ENDED}: exit code 0", how, f"host:{player}"))
        # It comes again, for a reason that is known.
        setbacks.failed(failure(LOST, "it came again"))
    setbacks.failed(failure(f"{ENDED}: SIGKILL", "its process was ended by SIGKILL"))
    clock.now_s += 11
    setbacks.look()

    assert said == [
        f"player host:0: {how}",
        "player host:1: its process was ended by SIGKILL",
        f"player host:0: {how} [15 times, 15 players]",
    ]
    assert setbacks.closing_remarks() == [
        f"15 players' processes ended, first: player host:0: {how}",
        "a player's process ended, first: player host:1: its process was ended by SIGKILL",
    ]


def test_the_reason_why_a_task_came_again_may_be_told_after_it(
    setbacks: Setbacks, said: list[str]
) -> None:
    for _ in range(9):
        setbacks.failed(failure(LOST, "it came again"))
        setbacks.failed(failure(f"{ENDED}: SIGKILL", "its process was ended by SIGKILL"))

    assert said == ["player host:1: its process was ended by SIGKILL"]
    assert setbacks.closing_remarks() == []


def test_a_login_that_invents_ends_of_processes_fills_no_memory(setbacks: Setbacks) -> None:
    for task in range(10 * MOST_UNSETTLED):
        end = replace(failure(f"{ENDED}: exit code 0"), task=f"task {task}")
        setbacks.failed(end, "mallory")

    assert len(setbacks._of("mallory").unsettled) == MOST_UNSETTLED


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
        "3 play tasks failed, first: player host:1 of login a gave up a task: a play task was not "
        "over within its limit of 6 s",
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
