from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tinyqueue.errors import RunDirectoryError
from tinyqueue.monitor.curves import merge, read_curve


def write(path: Path, *lines: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def episodes(run: Path, *ended: tuple[int, list[float]]) -> Path:
    write(run / "episodes.jsonl", *({"env_steps": s, "returns": r} for s, r in ended))
    return run


def test_episodes_are_grouped_by_equal_spans_of_env_steps(tmp_path: Path) -> None:
    run = episodes(tmp_path / "cartpole" / "1", (50, [10.0, 30.0]), (60, [20.0]), (1000, [40.0]))

    curve = read_curve(run)

    assert curve.env_steps.tolist() == [pytest.approx(160 / 3), 1000.0]
    assert curve.mean.tolist() == [20.0, 40.0]
    assert curve.low.tolist() == [10.0, 40.0]
    assert curve.high.tolist() == [30.0, 40.0]
    assert (curve.experiment, curve.runs, curve.label) == ("cartpole", 1, "cartpole/1")
    assert curve.protocol == ""


def test_a_game_tells_of_its_protocol(tmp_path: Path) -> None:
    run = episodes(tmp_path / "pong" / "1", (50, [-21.0]), (60, [-20.0]))
    (run / "experiment.toml").write_text('environment = { id = "ALE/Pong-v5", atari.sticky = 0 }\n')

    assert read_curve(run).protocol == "sticky 0, frame skip 4"


def test_settings_of_another_version_keep_no_curve_from_being_read(tmp_path: Path) -> None:
    run = episodes(tmp_path / "pong" / "1", (50, [-21.0]), (60, [-20.0]))
    (run / "experiment.toml").write_text('environment = { id = "ALE/Pong-v5", atari.hologram = 1 }')

    assert read_curve(run).protocol == ""


def test_points_have_some_twenty_episodes_and_are_a_hundred_at_most(tmp_path: Path) -> None:
    few = episodes(tmp_path / "x" / "1", *((i, [1.0]) for i in range(600)))
    many = episodes(tmp_path / "x" / "2", *((i, [1.0, 2.0]) for i in range(3000)))

    assert len(read_curve(few).mean) == 30
    assert len(read_curve(many).mean) == 100


def test_evaluations_and_their_level_are_part_of_the_curve(tmp_path: Path) -> None:
    run = episodes(tmp_path / "x" / "1", (100, [1.0]))
    write(
        run / "evaluations.jsonl",
        {"env_steps": 40, "return_mean": 300.5, "level": 475.0},
        {"env_steps": 90, "return_mean": 480.0, "level": 475.0},
    )

    curve = read_curve(run)

    assert curve.evaluated_steps.tolist() == [40.0, 90.0]
    assert curve.evaluated_means.tolist() == [300.5, 480.0]
    assert curve.level == 475.0


def test_a_line_that_is_still_being_written_is_left_out(tmp_path: Path) -> None:
    run = episodes(tmp_path / "x" / "1", (100, [1.0]))
    with (run / "episodes.jsonl").open("a") as file:
        file.write('{"env_steps": 200, "retu')

    assert read_curve(run).mean.tolist() == [1.0]


def test_a_run_without_episodes_has_no_curve_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="holds no finished episode"):
        read_curve(tmp_path / "x" / "1")


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    run = episodes(tmp_path / "x" / "1", (100, [1.0]))
    with (run / "episodes.jsonl").open("a") as file:
        file.write("\0\0\0\n")

    with pytest.raises(RunDirectoryError, match=r"episodes\.jsonl, line 2 is damaged"):
        read_curve(run)


def test_several_runs_become_their_mean_over_the_steps_that_all_have(tmp_path: Path) -> None:
    a = episodes(tmp_path / "x" / "1", (100, [0.0]), (1000, [90.0]))
    b = episodes(tmp_path / "x" / "2", (100, [20.0]), (2000, [210.0]))

    both = merge([read_curve(a), read_curve(b)])

    assert both.label == "x (2 runs)"
    assert both.env_steps[0] == 100.0
    assert both.env_steps[-1] == 1000.0
    # At 1,000 the second run is on its way from 20 to 210: 20 + 190 · 900 / 1900 = 110.
    assert both.mean[-1] == pytest.approx(100.0)
    assert both.low[-1] == pytest.approx(90.0)
    assert both.high[-1] == pytest.approx(110.0)


def test_one_run_is_merged_into_itself(tmp_path: Path) -> None:
    curve = read_curve(episodes(tmp_path / "x" / "1", (100, [0.0])))

    assert merge([curve]) is curve


def test_a_number_of_info_can_be_drawn_instead_of_the_return(tmp_path: Path) -> None:
    run = tmp_path / "taxi" / "1"
    write(
        run / "episodes.jsonl",
        {"env_steps": 50, "returns": [1.0, 2.0], "info": {"x": [10.0, None]}},
        {"env_steps": 1000, "returns": [3.0], "info": {"x": [40.0]}},
        {"env_steps": 1000, "returns": [3.0]},
    )
    write(run / "evaluations.jsonl", {"env_steps": 1000, "return_mean": 480.0, "level": 475.0})

    curve = read_curve(run, "x")

    assert curve.mean.tolist() == [10.0, 40.0]
    assert (len(curve.evaluated_means), curve.level) == (0, None)
    with pytest.raises(RunDirectoryError, match=r"called 'y'.*it has x"):
        read_curve(run, "y")
