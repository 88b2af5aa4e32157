"""``tinyqueue plot``."""

import json
import sys

import pytest

from tinyqueue.installing import install_command


def run_of(folder):
    folder.mkdir(parents=True)
    (folder / "experiment.toml").write_text('name = "pole"\n')
    line = {"env_steps": 10, "policy_version": 0, "returns": [9.0] * 20, "lengths": [9] * 20}
    (folder / "episodes.jsonl").write_text(json.dumps(line) + "\n")
    return folder


def test_runs_are_drawn_into_one_picture(tinyqueue, tmp_path):
    runs = [run_of(tmp_path / "pole" / str(number)) for number in (1, 2)]

    said = tinyqueue("plot", *runs, "--out", tmp_path / "new" / "curve.png")

    assert said.out.startswith("written: ")
    assert (tmp_path / "new" / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_of_several_runs_one_without_episodes_is_left_out_and_named(tinyqueue, tmp_path):
    full, empty = (run_of(tmp_path / "pole" / str(number)) for number in (1, 2))
    (empty / "episodes.jsonl").unlink()

    said = tinyqueue("plot", empty, full, "--out", tmp_path / "curve.png")

    assert said.out.startswith("written: ")
    assert f"{empty} holds no finished episode yet, so it is left out" in said.err


def test_a_number_of_info_is_drawn_of_the_runs_that_have_episodes(tinyqueue, tmp_path):
    full, empty = (run_of(tmp_path / "pole" / str(number)) for number in (1, 2))
    (empty / "episodes.jsonl").unlink()
    line = json.loads((full / "episodes.jsonl").read_text())
    line["info"] = {"score": [1.0] * 20}
    (full / "episodes.jsonl").write_text(json.dumps(line) + "\n")

    said = tinyqueue("plot", empty, full, "--out", tmp_path / "curve.png", "--info", "score")

    assert said.out.startswith("written: ")
    assert f"{empty} holds no finished episode yet" in said.err


def test_a_folder_without_episodes_is_named(tinyqueue, tmp_path):
    (tmp_path / "empty").mkdir()

    said = tinyqueue("plot", tmp_path / "empty")

    assert said.code == 1
    assert "empty" in said.err


@pytest.mark.parametrize("command", ["plot", "diagnose"])
def test_a_run_that_recorded_nothing_is_told_how_it_goes_on(
    tinyqueue, tmp_path, monkeypatch, command
):
    run = run_of(tmp_path / "pole" / "1")
    (run / "episodes.jsonl").unlink()
    (run / "experiment.toml").write_text('name = "pole"\n[environment]\nid = "CartPole-v1"\n')
    (run / "outcome.json").write_text(json.dumps({"ended": "max env steps", "env_steps": 64}))
    monkeypatch.setenv("TINYQUEUE_ENVIRONMENT_MODULES", "snake")
    monkeypatch.setenv("PYTHONPATH", ".")

    said = tinyqueue(command, run)

    assert said.err.endswith(
        "Let it train for longer: TINYQUEUE_ENVIRONMENT_MODULES=snake PYTHONPATH=. "
        f"tinyqueue train --resume {run} --max-env-steps 128\n"
    )


def test_without_matplotlib_the_extra_is_named(tinyqueue, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)

    said = tinyqueue("plot", run_of(tmp_path / "pole" / "1"))

    assert said.code == 1
    assert install_command("plot") in said.err
