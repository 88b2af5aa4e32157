"""The group of all commands, their help, and how errors are said."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tinyqueue.cli import main as main_module
from tinyqueue.errors import ConfigError

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "train",
    "learner start",
    "learner status",
    "learner stop",
    "evaluate",
    "record",
    "export",
    "info",
    "plot",
    "diagnose",
    "presets",
    "conformance",
    "new",
    "sessions list",
    "sessions show",
    "sessions export",
}
GROUPS = ("learner", "sessions")


def commands_of(said):
    """The names that a group's help lists."""
    section = said.out.partition("Commands:\n")[2]
    return {match[1] for match in re.finditer(r"^  (\w+)  ", section, re.MULTILINE)}


@pytest.mark.integration
@pytest.mark.parametrize("command", ["", *GROUPS, *sorted(COMMANDS)])
def test_every_command_has_help_in_a_process_of_its_own(command, tmp_path):
    words = [sys.executable, "-X", "importtime", "-m", "tinyqueue.cli.main", *command.split()]

    done = subprocess.run(
        [*words, "--help"],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("Usage:")
    assert f"main {command}".strip() in done.stdout.splitlines()[0]
    # Help must not take the seconds that TensorFlow takes.
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & {"tensorflow", "keras", "matplotlib"}


def test_help_and_readme_name_the_same_commands(tinyqueue):
    top = commands_of(tinyqueue("--help"))
    below = {
        f"{group} {name}" for group in GROUPS for name in commands_of(tinyqueue(group, "--help"))
    }
    helped = (top - {*GROUPS}) | below

    table = (ROOT / "README.md").read_text().split("\n## Commands\n")[1].split("\n## ")[0]
    group = "|".join(GROUPS)
    command = rf"^\| `tinyqueue ((?:(?:{group}) )?[a-z]+)[^`]*`(?:, `([a-z]+)`)?"
    rows = re.findall(command, table, re.M)
    told = {command for command, _ in rows} | {
        f"{command.split()[0]} {more}" for command, more in rows if more
    }

    assert helped == COMMANDS
    assert told == helped


def test_every_command_line_in_the_docs_is_one_that_exists(tinyqueue):
    docs = ROOT / "docs"
    pages = [*ROOT.glob("*.md"), *docs.glob("*.md"), *(docs / "decisions").glob("*.md")]
    text = "\n".join(page.read_text() for page in pages)
    code = "\n".join(re.findall(r"```.*?```|`[^`]+`", text, re.DOTALL))
    group = "|".join(GROUPS)
    command = rf"(?:^|`)tinyqueue ((?:(?:{group}) )?[a-z]+)\b"
    written = set(re.findall(command, code, re.MULTILINE))

    assert written
    assert written <= COMMANDS


@pytest.mark.parametrize("command", ["train", "learner start", "evaluate", "info"])
def test_options_that_the_readme_gives_exist(tinyqueue, command):
    options = {
        "train": ["--stop-at-return", "--max-env-steps", "--players", "--seed", "--set"],
        "learner start": ["--resume", "--new"],
        "evaluate": ["-n", "--json"],
        "info": ["--json"],
    }[command]
    readme = (ROOT / "README.md").read_text()

    help_text = tinyqueue(*command.split(), "--help").out

    for option in options:
        assert option in readme
        assert option in help_text


def test_a_misspelt_command_suggests_the_nearest(tinyqueue):
    said = tinyqueue("trian")

    assert said.code == 1
    assert said.err.splitlines() == ["error: unknown command 'trian'; did you mean 'train'?"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("train", "--sed", "3"), "No such option '--sed'"),
        (("train", "CartPole-v1", "Acrobot-v1"), "unexpected extra argument (Acrobot-v1)"),
        (("train", "CartPole-v1", "--players", "-1"), "-1 is not in the range x>=0"),
        (("train", "CartPole-v1", "--broker", "kafka"), "'kafka' is not one of"),
        (("evaluate",), "Missing argument 'RUN'"),
        (("evaluate", "runs/x/1", "-n", "none"), "'none' is not a valid integer"),
    ],
)
def test_wrong_usage_is_said_with_exit_code_2(tinyqueue, words, text):
    said = tinyqueue(*words)

    assert said.code == 2
    assert text in said.err


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ConfigError("seed = -1 is wrong."), 1, "error: seed = -1 is wrong."),
        (KeyboardInterrupt(), 130, "stopped."),
    ],
)
def test_errors_are_said_in_a_sentence(tinyqueue, monkeypatch, error, code, text):
    def fails(**_):
        raise error

    monkeypatch.setattr(main_module, "cli", fails)

    said = tinyqueue("info")

    assert (said.code, said.err.strip()) == (code, text)


def test_a_defect_shows_its_traceback(tinyqueue, monkeypatch):
    def fails(**_):
        raise ZeroDivisionError

    monkeypatch.setattr(main_module, "cli", fails)

    with pytest.raises(ZeroDivisionError):
        tinyqueue("info")


def test_the_version_is_the_packages(tinyqueue):
    assert tinyqueue("--version").out == "tinyqueue, version 0.1.0\n"


@pytest.mark.integration
def test_a_thread_that_an_environment_left_does_not_keep_the_command(tmp_path):
    (tmp_path / "lingering.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()\n"
    )
    surroundings = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
        "TINYQUEUE_ENVIRONMENT_MODULES": "lingering",
    }
    command = [sys.executable, "-m", "tinyqueue.cli.main", "train", "CartPoel-v1"]

    ended = subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=60)

    assert ended.returncode == 1
    assert "did you mean 'CartPole-v1'" in ended.stderr
