"""The samples of this repository, played on a machine without TensorFlow."""

import json
from pathlib import Path

import pytest
from filming import frames_of, without_tensorflow

SAMPLES = Path(__file__).parents[2] / "samples"
FOLDERS = sorted(path.parent for path in SAMPLES.glob("*/manifest.json"))
AT_MOST_BYTES = 4 * 2**20


def test_pong_is_among_the_samples():
    assert SAMPLES / "pong" in FOLDERS


@pytest.mark.parametrize("sample", FOLDERS, ids=lambda path: path.name)
def test_a_sample_is_small(sample):
    assert sum(path.stat().st_size for path in sample.iterdir()) <= AT_MOST_BYTES


@pytest.mark.parametrize("sample", FOLDERS, ids=lambda path: path.name)
def test_three_games_reach_the_level_of_the_manifest(sample, tmp_path):
    # Given the greedy games that it is said to have played
    manifest = json.loads((sample / "manifest.json").read_text())
    (greedy,) = (each for each in manifest["results"] if each["policy"] == "greedy")

    # When three are played here
    played = without_tensorflow("evaluate", sample, "-n", 3, "--json", cwd=tmp_path)

    # Then they are as good, but for a ball or two that another processor rounds away
    assert played["mean"] >= greedy["mean"] - 2
    assert manifest["environment"] == played["environment"]


def test_pong_is_filmed_without_tensorflow(tmp_path):
    filmed = without_tensorflow("record", SAMPLES / "pong", "-n", 1, "--json", cwd=tmp_path)

    (game,) = filmed["games"]
    assert game["return"] >= 18
    assert len(frames_of(tmp_path / game["files"][0])) == game["frames"]
