from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from tinyqueue.errors import MissingExtraError, RunDirectoryError
from tinyqueue.installing import install_command
from tinyqueue.monitor.plots import plot_learning_curve


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two runs whose return rises from 20 to 500."""
    made = []
    for name in ("1", "2"):
        run = tmp_path / "cartpole-impala" / name
        run.mkdir(parents=True)
        lines = [{"env_steps": s, "returns": [20 + s * 0.48] * 5} for s in range(10, 1001, 10)]
        (run / "episodes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        evaluation = {"env_steps": 1000, "return_mean": 480.0, "level": 475.0}
        (run / "evaluations.jsonl").write_text(json.dumps(evaluation) + "\n")
        made.append(run)
    return made


def pixels(path: Path) -> np.ndarray:
    image = pytest.importorskip("matplotlib.image")
    read: np.ndarray = image.imread(path)
    return read


def test_a_picture_is_made_where_it_was_asked_for(runs: list[Path], tmp_path: Path) -> None:
    out = plot_learning_curve(runs[:1], tmp_path / "plots" / "learning_curve.png")

    assert out == tmp_path / "plots" / "learning_curve.png"
    picture = pixels(out)
    blue = np.array([0x1F, 0x77, 0xB4]) / 255
    rows, columns = np.nonzero(np.abs(picture[..., :3] - blue).max(-1) < 0.02)
    # The curve rises: what is drawn on the left is lower in the picture than on the right.
    middle = picture.shape[1] // 2
    assert np.median(rows[columns < middle]) > np.median(rows[columns > middle]) + 50


def test_a_given_level_is_drawn_in_place_of_the_runs_own(runs: list[Path], tmp_path: Path) -> None:
    own = pixels(plot_learning_curve(runs, tmp_path / "own.png"))
    same = pixels(plot_learning_curve(runs, tmp_path / "same.png", level=475.0))
    other = pixels(plot_learning_curve(runs, tmp_path / "other.png", level=100.0))

    assert np.array_equal(own, same)
    assert not np.array_equal(own, other)


def test_experiments_are_drawn_apart(runs: list[Path], tmp_path: Path) -> None:
    other = tmp_path / "pong-impala" / "1"
    other.parent.mkdir()
    runs[1].rename(other)

    picture = pixels(plot_learning_curve([runs[0], other], tmp_path / "both.png"))

    orange = np.array([0xD9, 0x5F, 0x02]) / 255
    assert (np.abs(picture[..., :3] - orange).max(-1) < 0.02).sum() > 100


def test_a_run_without_episodes_leaves_no_picture(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="no finished episode"):
        plot_learning_curve([tmp_path], tmp_path / "curve.png")

    assert not (tmp_path / "curve.png").exists()


def test_without_matplotlib_the_error_says_how_to_get_it(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(MissingExtraError, match=re.escape(install_command("plot"))):
        plot_learning_curve(runs, tmp_path / "curve.png")


def test_runs_of_a_game_with_and_without_sticky_actions_are_not_taken_together(
    runs: list[Path], tmp_path: Path
) -> None:
    # Given two runs of one name, of which only one has sticky actions
    for run, sticky in zip(runs, (0, 0.25), strict=True):
        (run / "experiment.toml").write_text(
            f'environment = {{ id = "ALE/Pong-v5", atari.sticky = {sticky} }}\n'
        )

    # When they are drawn
    read = pixels(plot_learning_curve(runs, tmp_path / "two.png"))

    # Then there are two lines of two colours
    for colour in ([0x1F, 0x77, 0xB4], [0xD9, 0x5F, 0x02]):
        near = np.abs(read[..., :3] - np.array(colour) / 255).max(-1) < 0.02
        assert near.sum() > 100
