"""The loop of an environment that owns its clock: whole episodes, batches paused between them."""

from __future__ import annotations

import copy
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tinyqueue.errors import ConfigError
from tinyqueue.player.open_stage import OpenStage
from tinyqueue.player.play_task import PlayReport, PlayTask
from tinyqueue.player.realtime import play_episodes

FAR_S = 1e12


class Outbox:
    def __init__(self) -> None:
        self.batches: list[Any] = []
        self.told: list[tuple[str, int]] = []
        self.error: Exception | None = None

    def put(self, batch: Any) -> None:
        self.batches.append(copy.deepcopy(batch))

    def ended(self, task: str) -> None:
        self.told.append((task, len(self.batches)))


class Policy:
    def __init__(self, runner: Any) -> None:
        self.runner, self.over = runner, ""

    def newest(self, timeout_s: float) -> Any:
        return self.runner

    def ended(self) -> str:
        return self.over


@pytest.fixture
def opened(spec: Any, stage: Any, runner: Any) -> Any:
    """Episodes of six steps, and a reset between two, in batches of four ticks."""
    played = spec("Countdown-v0", ticks=4, slots=1, realtime=True, kwargs={"length": 6})
    return OpenStage(played, stage(played), Policy(runner(played)), outbox=Outbox())  # type: ignore[arg-type]


def play(opened: Any, name: str = "t1", deadline_s: float | None = None, **more: Any) -> PlayReport:
    report = PlayReport()
    task = PlayTask(name, "maze", "a-run", 1, 1.0)
    more = {"is_ending": lambda: False, **more}
    deadline_s = time.monotonic() if deadline_s is None else deadline_s
    play_episodes(opened, task, deadline_s, report, **more)
    return report


def steps(batch: Any) -> list[float]:
    return [float(step) for step in batch.observations[""][:, 0, 1]]


def test_a_task_ends_with_an_episode_and_the_next_goes_on_with_its_batch(opened: Any) -> None:
    first = play(opened)
    stage = opened.stage
    assert first.batches == 1
    assert stage.is_between_episodes

    second = play(opened, "t2")

    # Six steps; then the reset, which the task before has left to this one, and six steps.
    assert second.batches == 2
    assert [steps(batch) for batch in opened.outbox.batches] == [
        [0, 1, 2, 3, 4],
        [4, 5, 6, 0, 1],
        [1, 2, 3, 4, 5],
    ]
    assert [batch.header.n for batch in opened.outbox.batches] == [0, 1, 2]
    assert [batch.header.task for batch in opened.outbox.batches] == ["t1", "t2", "t2"]
    assert opened.outbox.batches[1].valid[:, 0].tolist() == [True, True, False, True]
    assert opened.outbox.batches[1].episodes.returns.tolist() == [21.0]


def test_paused_batches_are_those_of_a_stage_that_is_never_paused(
    opened: Any, spec: Any, stage: Any, runner: Any
) -> None:
    for number in range(12):
        play(opened, f"t{number}")
    count = len(opened.outbox.batches)

    unpaused, policy = stage(opened.spec), runner(opened.spec)
    for paused in opened.outbox.batches:
        batch = unpaused.play(policy, "t")
        for name in ("rewards", "terminated", "truncated", "valid"):
            np.testing.assert_array_equal(getattr(paused, name), getattr(batch, name))
        for group in ("observations", "actions", "extras", "carry"):
            for path, array in getattr(batch, group).items():
                np.testing.assert_array_equal(getattr(paused, group)[path], array)
    assert count > 12


def test_the_time_between_two_tasks_is_not_time_played(
    opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now_s=100.0)
    monkeypatch.setattr("tinyqueue.player.stage.time.perf_counter", lambda: clock.now_s)
    play(opened)
    clock.now_s += 60.0
    play(opened, "t2")

    assert opened.outbox.batches[1].header.play_s < 1.0
    assert opened.outbox.batches[1].episodes.seconds.max() < 1.0


def test_the_batch_that_may_be_a_tasks_last_tells_that_it_ends(opened: Any) -> None:
    play(opened)

    # Before the first batch is handed over, as the budget is spent.
    assert opened.outbox.told == [("t1", 0)]


def test_a_task_without_a_batch_of_its_own_is_told_too(opened: Any) -> None:
    opened.stage.play_on(opened.policy.runner, "t0", lambda: False)

    opened.policy.over = "other run"
    report = play(opened)

    # Two steps are left of the episode: no batch ends within it.
    assert report.batches == 0
    assert opened.outbox.told == [("t1", 0)]


def test_a_task_goes_on_through_short_episodes_until_a_batch_is_finished(
    spec: Any, stage: Any, runner: Any
) -> None:
    """Else it would end without a word, as its end is told by a batch."""
    played = spec("Countdown-v0", ticks=16, slots=1, realtime=True, kwargs={"length": 2})
    opened = OpenStage(played, stage(played), Policy(runner(played)), outbox=Outbox())  # type: ignore[arg-type]

    for number in range(4):
        assert play(opened, f"t{number}").batches == 1
        assert opened.stage.is_between_episodes


def test_a_run_that_has_ended_ends_the_task_with_the_episode(opened: Any) -> None:
    opened.policy.over = "other run"

    report = play(opened, deadline_s=FAR_S)

    assert report.ended == "other run"
    assert opened.stage.is_between_episodes


def test_a_worker_that_ends_gives_up_the_episode_at_the_end_of_a_batch(opened: Any) -> None:
    report = play(opened, deadline_s=FAR_S, is_ending=lambda: True)

    assert report.batches == 1
    assert not opened.stage.is_between_episodes


def test_an_episode_longer_than_a_task_may_be_is_left_at_the_end_of_a_batch(
    opened: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    opened.spec = opened.spec.model_copy(update={"task_limit_s": 1e-9})

    for number in range(3):
        assert play(opened, f"t{number}", deadline_s=0.0).batches == 1

    assert capsys.readouterr().out.count("raise session.task_limit_s") == 1


def test_what_the_broker_refuses_ends_the_task_after_the_episode(opened: Any) -> None:
    opened.outbox.error = ConfigError("the broker refuses what 'rack' publishes")

    with pytest.raises(ConfigError, match="refuses"):
        play(opened, deadline_s=FAR_S)

    assert opened.stage.is_between_episodes
    assert not opened.stage.interrupted


def test_every_batch_has_its_pace(opened: Any) -> None:
    play(opened)
    play(opened, "t2")

    paces = [batch.header.pace for batch in opened.outbox.batches]
    # The second has an invalid tick, which nobody answers.
    assert [pace.steps for pace in paces] == [4, 3, 4]
    assert all(0 < pace.p50_ms <= pace.p99_ms <= pace.worst_ms for pace in paces)
