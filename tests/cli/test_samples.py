"""The samples of this repository, played on a machine without TensorFlow."""

import json
import shutil
from pathlib import Path

import pytest
from filming import frames_of, without_tensorflow

from tinyqueue.policy.sample import MOST_BYTES

SAMPLES = Path(__file__).parents[2] / "samples"
FOLDERS = sorted(path.parent for path in SAMPLES.glob("*/manifest.json"))


def test_pong_is_among_the_samples():
    assert SAMPLES / "pong" in FOLDERS


@pytest.mark.parametrize("sample", FOLDERS, ids=lambda path: path.name)
def test_a_sample_is_small(sample):
    assert sum(path.stat().st_size for path in sample.iterdir()) <= MOST_BYTES


@pytest.mark.integration
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


@pytest.mark.integration
def test_what_plays_more_slowly_is_told_beside_json_and_not_in_it(tmp_path):
    # Given a sample that is played under Gymnasium's wrappers
    slower = tmp_path / "slower"
    shutil.copytree(SAMPLES / "pong", slower)
    manifest = json.loads((slower / "manifest.json").read_text())
    manifest["spec"]["environment"]["max_episode_steps"] = 20
    manifest["spec"]["environment"]["atari"]["stuck_ticks"] = 500
    (slower / "manifest.json").write_text(json.dumps(manifest))

    # When it is evaluated, its output is JSON
    played = without_tensorflow("evaluate", slower, "-n", 1, "--json", cwd=tmp_path)

    assert played["mean_length"] == 20
    assert played["protocol"] == "sticky 0, frame skip 4"


@pytest.mark.integration
def test_pong_is_filmed_without_tensorflow(tmp_path):
    filmed = without_tensorflow("record", SAMPLES / "pong", "-n", 1, "--json", cwd=tmp_path)

    (game,) = filmed["games"]
    assert game["return"] >= 18
    assert len(frames_of(tmp_path / game["files"][0])) == game["frames"]
