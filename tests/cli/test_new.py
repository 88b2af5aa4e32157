"""Files to begin with: they run as they are, and overwrite nothing."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

SHORT = ("--serial", "--max-env-steps", "600", "--set", "session.slots=4", "--set",
         "session.ticks=16", "--set", "evaluation.episodes=2", "--set", "evaluation.slots=2",
         "--json")  # fmt: skip


def written(tinyqueue, *words):
    """The commands that are printed next, after both files are written."""
    said = tinyqueue("new", *words)
    assert said.code == 0, said.err
    first, _, *commands = said.out.splitlines()
    assert first.startswith("written: ")
    return [command.strip() for command in commands]


def run(command, folder, *more):
    """Runs a printed command in a folder, with its variables."""
    words = shlex.split(command)
    variables = dict(word.split("=", 1) for word in words if word.split("=", 1)[0].isupper())
    program = [word for word in words if word.split("=", 1)[0] not in variables]
    if program[0] == "tinyqueue":
        program = ["python", "-m", "tinyqueue.cli.main", *program[1:]]
    # What finds tinyqueue itself comes after the folder that the command names.
    places = [variables.get("PYTHONPATH", ""), *sys.path]
    done = subprocess.run(
        [sys.executable, *program[1:], *more], cwd=folder, capture_output=True, text=True,
        env={**os.environ, **variables, "PYTHONPATH": os.pathsep.join(filter(None, places))},
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("words", "files", "trains"),
    [
        (
            ("environment", "SnowMaze"),
            ["snow_maze.py", "test_snow_maze.py"],
            "TINYQUEUE_ENVIRONMENT_MODULES=snow_maze PYTHONPATH=. tinyqueue train SnowMaze-v0",
        ),
        (
            ("environment", "snow_maze", "--folder", "worlds"),
            ["worlds/snow_maze.py", "worlds/test_snow_maze.py"],
            "TINYQUEUE_ENVIRONMENT_MODULES=snow_maze PYTHONPATH=worlds tinyqueue train SnowMaze-v0",
        ),
        (
            ("algorithm", "MyLearner", "--folder", "my agents"),
            ["my agents/my_learner.py", "my agents/test_my_learner.py"],
            "tinyqueue train CartPole-v1 --set 'algorithm.name=my agents/my_learner.py:MyLearner'",
        ),
        (
            ("model", "deep_net"),
            ["deep_net.py", "test_deep_net.py"],
            "tinyqueue train CartPole-v1 --set model.name=deep_net.py:deep_net",
        ),
    ],
)
def test_what_is_written_says_how_it_is_trained(
    tinyqueue, tmp_path, monkeypatch, words, files, trains
):
    monkeypatch.chdir(tmp_path)

    assert written(tinyqueue, *words) == [trains, shlex.join(["python", "-m", "pytest", files[1]])]

    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.py")) == files
    for file in files:
        text = Path(file).read_text()
        compile(text, file, "exec")
        assert not {"NAME", "CLASS", "COMMAND", "ENVIRONMENT"} & set(text.replace(":", " ").split())
    assert trains in Path(files[0]).read_text()


@pytest.mark.integration
@pytest.mark.parametrize("kind", ["environment", "algorithm", "model"])
def test_what_is_written_passes_its_test_and_trains(tinyqueue, tmp_path, monkeypatch, kind):
    # Given what was written, in a folder beside
    monkeypatch.chdir(tmp_path)
    train, test = written(tinyqueue, kind, "MyFirst", "--folder", "own")

    # When both commands that were printed are run
    tested = run(test, tmp_path, "-q", "-p", "no:cacheprovider")
    trained = run(train, tmp_path, *SHORT, "--runs-dir", "runs")

    # Then they succeed
    assert "passed" in tested
    assert json.loads(trained)["updates"] > 0


@pytest.mark.parametrize("taken", ["own.py", "test_own.py"])
def test_nothing_is_overwritten(tinyqueue, tmp_path, taken):
    (tmp_path / taken).write_text("mine")

    said = tinyqueue("new", "model", "own", "--folder", tmp_path)

    assert said.code == 1
    assert f"{tmp_path / taken} exists, and is not overwritten" in said.err
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("my-world", "tinyqueue new environment my_world"),
        ("3d", "beginning with a letter"),
        ("Class", "no word of the language"),
        ("random", "there is a module random already"),
        ("Gymnasium", "there is a module gymnasium already"),
        ("a" * 49, "1–48 letters"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(tinyqueue, tmp_path, monkeypatch, name, said):
    monkeypatch.setattr(sys, "argv", ["tinyqueue", "new", "environment", name])
    monkeypatch.chdir(tmp_path)
    refused = tinyqueue("new", "environment", name)
    assert refused.code == 1
    assert said in refused.err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_leaves_nothing(tinyqueue, tmp_path):
    # Given a folder whose name is taken by a file
    (tmp_path / "taken").write_text("")

    said = tinyqueue("new", "model", "own", "--folder", tmp_path / "taken" / "inner")

    assert said.code == 1
    assert "nothing was written" in said.err
