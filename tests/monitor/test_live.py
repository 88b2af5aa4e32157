from __future__ import annotations

import io
import math
import time
from dataclasses import replace

import pytest
from rich.console import Console

from tinyqueue.data.pace import Pace
from tinyqueue.monitor.history import History
from tinyqueue.monitor.lines import LineView
from tinyqueue.monitor.live import REFRESH_EVERY_S, LiveView, frame, open_view
from tinyqueue.monitor.view import Progress, RunHeader, Snapshot

SNAPSHOT = Snapshot(
    time_s=20.0,
    env_steps=6_049_360,
    updates=3_000,
    episodes=36_000,
    return_mean=247.5,
    length_mean=247.5,
    env_steps_per_s=302_468.2,
    updates_per_s=147.9,
    policy_lag_mean=7.12,
    queue_depth=2,
    players=2,
)


def terminal(width: int = 100, encoding: str = "utf-8") -> Console:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    return Console(
        file=file, force_terminal=True, width=width, height=30, color_system=None, _environ={}
    )


def written(console: Console) -> str:
    file = console.file
    assert isinstance(file, io.TextIOWrapper)
    file.seek(0)
    return file.read()


def drawn(header: RunHeader, snapshot: Snapshot | None, console: Console) -> list[str]:
    progress, history = Progress(header), History()
    progress.see(Snapshot(time_s=0.0, return_mean=20.0))
    for mean in (20.0, 60.0, 247.5):
        history.add(mean)
    with console.capture() as capture:
        console.print(frame(header, progress, history, snapshot, console))
    return capture.get().splitlines()


def test_a_frame_shows_how_soon_an_environment_with_a_clock_gets_its_actions(
    header: RunHeader,
) -> None:
    pace = Pace(100, 1.25, 3.5, 9.0, missed_ticks=0, late_ticks=1204)

    text = "\n".join(drawn(header, replace(SNAPSHOT, pace=pace), terminal()))

    assert "action p50" in text
    assert "1.25 ms" in text
    assert "3.5 ms" in text
    assert "1,204" in text
    assert "action" not in "\n".join(drawn(header, SNAPSHOT, terminal()))


def test_a_frame_shows_the_return_its_course_and_the_way_to_the_level(header: RunHeader) -> None:
    lines = drawn(header, SNAPSHOT, terminal())

    assert lines[0].startswith("╭─ cartpole-impala · CartPole-v1 · impala ─")
    assert "return         247.5  ▁▂█" in lines[1]
    assert "20.0 … 247.5" in lines[1]
    assert "progress         50%  ━" in lines[2]
    assert "of the way to 475" in lines[2]
    assert "embedded Redis · runs/cartpole-impala/3 · 0:20" in lines[-1]


def test_a_frame_shows_no_progress_from_a_few_episodes(header: RunHeader) -> None:
    lines = drawn(header, replace(SNAPSHOT, return_mean=500.0, episodes=3), terminal())

    assert "progress           –  " in lines[2]


def test_a_frame_shows_rates_lag_queue_and_players(header: RunHeader) -> None:
    text = " ".join(" ".join(drawn(header, SNAPSHOT, terminal())).split())

    for part in (
        "env steps 6,049,360",
        "env steps/s 302,468",
        "policy lag 7.1",
        "updates 3,000",
        "updates/s 147.9",
        "queue 2 of 2",
        "episodes 36,000",
        "mean length 247.5",
        "players 2",
        "greedy mean –",
        "set aside 0",
        "dropped 0",
    ):
        assert part in text


def test_a_frame_says_when_greedy_games_are_played_and_what_they_gave(header: RunHeader) -> None:
    playing = "\n".join(drawn(header, replace(SNAPSHOT, is_evaluating=True), terminal()))
    played = "\n".join(drawn(header, replace(SNAPSHOT, greedy_mean=471.3), terminal()))

    assert "playing …" in playing
    assert "471.3" in played


@pytest.mark.parametrize("width", [30, 40, 64, 80, 100, 200])
def test_a_frame_fits_any_terminal(header: RunHeader, width: int) -> None:
    lines = drawn(header, SNAPSHOT, terminal(width))

    assert {len(line) for line in lines} == {min(width, 96)}


def test_a_terminal_of_64_columns_still_shows_every_number(header: RunHeader) -> None:
    text = "\n".join(drawn(header, SNAPSHOT, terminal(64)))

    assert "…" not in text.replace("20.0 … 247.5", "")
    assert "dropped" in text


def test_a_frame_needs_nothing_but_ascii_where_there_is_nothing_else(header: RunHeader) -> None:
    lines = drawn(header, SNAPSHOT, terminal(encoding="ascii"))

    assert "_-@" in lines[1] or "_.@" in lines[1]


def test_before_the_first_batch_the_frame_says_what_it_waits_for(header: RunHeader) -> None:
    for nothing in (None, Snapshot(time_s=0.0, is_waiting=True)):
        said = "\n".join(drawn(header, nothing, terminal()))
        assert "waiting for the first session batch" in said
        assert "env steps" not in said


def test_names_from_a_file_are_text_and_not_markup(header: RunHeader) -> None:
    lines = drawn(replace(header, environment="[red]Cart[/]"), SNAPSHOT, terminal())

    assert "[red]Cart[/]" in lines[0]


def test_a_view_draws_twice_a_second_however_often_it_is_told(header: RunHeader) -> None:
    console, now = terminal(), [0.0]
    view = LiveView(console, clock=lambda: now[0])
    view.start(header)

    for i in range(100):
        view.update(replace(SNAPSHOT, updates=i))
        now[0] += 0.02

    frames = written(console).count("updates/s")
    assert frames == 2.0 / REFRESH_EVERY_S
    view.stop()


def test_a_view_is_due_until_it_knows_where_the_return_began(header: RunHeader) -> None:
    view = LiveView(terminal(), clock=lambda: 0.0)
    view.start(header)

    view.update(replace(SNAPSHOT, return_mean=math.nan))
    assert view.is_due
    view.update(SNAPSHOT)
    assert not view.is_due
    view.stop()


def test_stopping_leaves_the_last_snapshot_and_the_cursor(header: RunHeader) -> None:
    console = terminal()
    view = LiveView(console, clock=lambda: 0.0)
    view.start(header)
    view.update(SNAPSHOT)
    view.update(replace(SNAPSHOT, updates=4_321))

    view.stop()
    view.stop()

    assert "4,321" in written(console)
    assert written(console).rstrip("\n").endswith("\x1b[?25h")


def test_a_message_is_shown_before_during_and_after(header: RunHeader) -> None:
    console = terminal()
    view = LiveView(console)

    view.message("starting [services]")
    view.start(header)
    view.message("a player has joined")
    view.stop()
    view.message("bye")

    text = written(console)
    assert "starting [services]" in text
    assert "a player has joined" in text
    assert text.endswith("bye\n")


@pytest.mark.timing
def test_a_frame_costs_less_than_a_hundredth_of_a_core(header: RunHeader) -> None:
    now = [0.0]
    view = LiveView(terminal(), clock=lambda: now[0])
    view.start(header)
    costs = []
    for _ in range(30):
        now[0] += REFRESH_EVERY_S
        began_s = time.thread_time()
        view.update(SNAPSHOT)
        costs.append(time.thread_time() - began_s)
    view.stop()

    # 3 ms here; the bound leaves room for a slower machine.
    assert sorted(costs)[15] < 0.02 * REFRESH_EVERY_S


def test_a_terminal_gets_the_live_view_and_anything_else_plain_lines() -> None:
    assert isinstance(open_view(terminal()), LiveView)
    assert isinstance(open_view(Console(file=io.StringIO(), _environ={})), LineView)
    dumb = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
    assert isinstance(open_view(dumb), LineView)
