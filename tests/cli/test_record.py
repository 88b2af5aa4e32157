"""``tinyqueue record``."""

import importlib.util
import json

import pytest
from balancing import BALANCES, FALLS, checkpoint, trained_run
from filming import frames_of, gif_seconds, without_tensorflow

from tinyqueue.installing import install_command


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_games_are_filmed_into_the_records_folder(tinyqueue, tmp_path):
    run = trained_run(tmp_path / "runs", checkpoint(1000, FALLS))

    said = tinyqueue("record", run)

    assert said.code == 0, said.err
    assert names(tmp_path / "records") == ["pole-1.mp4", "pole-2.mp4", "pole-3.mp4"]
    assert [line.split(": ")[1].split(",")[0] for line in said.out.splitlines()] == [
        f"records/pole-{number}.mp4" for number in (1, 2, 3)
    ]
    assert all(line.endswith(" s of film") for line in said.out.splitlines())


def test_a_film_is_as_long_as_its_game(tinyqueue, tmp_path):
    run = trained_run(tmp_path / "runs", checkpoint(1000, FALLS))

    said = tinyqueue("record", run, "-n", 2, "--gif", "--json", "--out", "films/pole")

    result = json.loads(said.out)
    assert (result["run"], result["policy"]) == (str(run), "greedy")
    assert [game["files"] for game in result["games"]] == [
        [f"films/pole/pole-{number}.mp4", f"films/pole/pole-{number}.gif"] for number in (1, 2)
    ]
    for game in result["games"]:
        film, gif = (tmp_path / file for file in game["files"])
        assert game["return"] == game["length"] < 15
        assert len(frames_of(film)) == game["frames"] == game["length"] + 1
        assert game["seconds"] == pytest.approx(game["frames"] / 50)
        # Every second of 50 frames per second.
        assert gif_seconds(gif) == pytest.approx((game["frames"] + 1) // 2 * 0.04)


def test_a_film_that_is_there_stays(tinyqueue, tmp_path):
    run = trained_run(tmp_path / "runs", checkpoint(1000, FALLS))
    tinyqueue("record", run, "-n", 1)
    film = tmp_path / "records" / "pole-1.mp4"
    before = film.read_bytes()
    (tmp_path / "records" / "pole-2.mp4").write_text("mine")

    said = tinyqueue("record", run, "-n", 1, "--seed", 5)

    assert "records/pole-3.mp4" in said.out
    assert names(tmp_path / "records") == ["pole-1.mp4", "pole-2.mp4", "pole-3.mp4"]
    assert film.read_bytes() == before
    assert (tmp_path / "records" / "pole-2.mp4").read_text() == "mine"


@pytest.mark.slow
def test_successive_checkpoints_are_one_film(tinyqueue, tmp_path):
    kept = checkpoint(1000, FALLS), checkpoint(2000, 0.1 * BALANCES), checkpoint(3000, FALLS)
    run = trained_run(tmp_path / "runs", *kept)

    said = tinyqueue("record", run, "--checkpoints")

    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == [
        f"{thousand},000 env steps" for thousand in (1, 2, 3)
    ]
    lengths = [int(line.split(" in ")[1].split()[0].replace(",", "")) for line in lines[:3]]
    # The same game for each of them.
    assert lengths[0] == lengths[2] < 15 < lengths[1]
    assert lines[3].startswith("records/pole-checkpoints-1.mp4, ")
    assert lines[3].endswith(" s of film")
    frames = frames_of(tmp_path / "records" / "pole-checkpoints-1.mp4")
    assert len(frames) == sum(lengths) + 3
    assert frames[0].shape == (440, 600, 3)


def test_a_damaged_checkpoint_is_passed_over_and_said(tinyqueue, tmp_path):
    run = trained_run(tmp_path / "runs", checkpoint(1000, FALLS), checkpoint(2000, FALLS))
    (run / "checkpoints" / "000000001000" / "weights.bin").write_bytes(b"torn")

    said = tinyqueue("record", run, "--checkpoints", "--json")

    assert [game["env_steps"] for game in json.loads(said.out)["games"]] == [2000]
    assert "skipped" in said.err
    assert "weights.bin" in said.err


@pytest.mark.parametrize("option", [("-n", 2), ("--best",), ("--version", 10)])
def test_options_that_checkpoints_would_ignore_are_refused(tinyqueue, tmp_path, option):
    run = trained_run(tmp_path / "runs")

    refused = tinyqueue("record", run, "--checkpoints", *option)

    assert refused.code == 1
    assert "Leave out -n, --checkpoint, --version and --best" in refused.err


def test_the_policy_may_sample(tinyqueue, tmp_path):
    run = trained_run(tmp_path / "runs", checkpoint(1000, FALLS))

    result = json.loads(tinyqueue("record", run, "-n", 2, "--sample", "--json").out)

    assert result["policy"] == "sampled"
    # Equal logits: always left topples within 11 steps.
    assert max(game["length"] for game in result["games"]) > 11


def test_a_missing_extra_is_said_with_the_command_that_brings_it(tinyqueue, tmp_path, monkeypatch):
    run = trained_run(tmp_path / "runs")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    refused = tinyqueue("record", run)

    assert refused.code == 1
    assert install_command("video") in refused.err
    assert not (tmp_path / "records").exists()


def test_a_folder_that_is_no_run_is_named_and_leaves_nothing(tinyqueue, tmp_path):
    (tmp_path / "nothing").mkdir()
    for options in ((), ("--checkpoints",)):
        refused = tinyqueue("record", tmp_path / "nothing", *options)

        assert refused.code == 1
        assert "nothing is not a run directory" in refused.err
    assert not (tmp_path / "records").exists()


@pytest.mark.integration
def test_no_display_and_no_tensorflow_are_needed(tmp_path, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    run = trained_run(tmp_path / "runs", checkpoint(1000, FALLS))

    said = without_tensorflow("record", run, "-n", 1, "--gif", "--json", cwd=tmp_path)

    assert len(frames_of(tmp_path / said["games"][0]["files"][0])) == said["games"][0]["frames"]
