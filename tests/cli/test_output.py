"""``--json`` is alone on standard output, whatever an environment prints and by whatever means."""

import json
import os
import re
import signal
import subprocess
import sys

import click
import pytest

from tinyqueue.cli.main import cli

pytestmark = pytest.mark.integration  # a real training run

NOISY = """
import ctypes, os, subprocess, sys
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv

def noise(where):
    print("NOISE print", where)
    os.write(1, b"NOISE fd " + where.encode() + b"\\n")
    ctypes.CDLL(None).puts(b"NOISE C " + where.encode())
    ctypes.CDLL(None).fflush(None)
    subprocess.run(["echo", "NOISE child", where])

noise("import")

class Noisy(CartPoleEnv):
    def __init__(self, **kwargs):
        noise("init")
        super().__init__(**kwargs)
        self.steps = 0
    def reset(self, **kwargs):
        if self.steps < 3:
            noise("reset")
        return super().reset(**kwargs)
    def step(self, action):
        self.steps += 1
        if self.steps == 3:
            noise("step")
            if "ABORTS" in os.environ:
                os.abort()
        return super().step(action)

gymnasium.register("Noisy-v0", Noisy, max_episode_steps=20)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("noisy")
    (folder / "noisy_pole.py").write_text(NOISY)
    return folder


@pytest.fixture(scope="module")
def command(folder):
    def run(*words):
        environment = {
            **os.environ,
            "PYTHONPATH": f"{folder}:{os.environ.get('PYTHONPATH', '')}",
            "TINYQUEUE_ENVIRONMENT_MODULES": "noisy_pole",
        }
        return subprocess.run(
            [sys.executable, "-m", "tinyqueue.cli.main", *words],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.fixture(scope="module")
def trained(command):
    settings = ["session.slots=2", "session.ticks=8", "evaluation.episodes=2"]
    settings += ["evaluation.slots=2"]
    words = [word for setting in settings for word in ("--set", setting)]
    return command("train", "Noisy-v0", "--serial", "--max-env-steps", "64", "--stop-at-return",
                   "1e6", *words, "--json")  # fmt: skip


def test_the_result_of_training_is_alone(trained, folder):
    assert trained.returncode == 0
    assert json.loads(trained.stdout)["ended"] == "max env steps"
    assert "NOISE" not in trained.stdout
    (log,) = folder.glob("runs/*/1/learner.log")
    assert "NOISE print init" in log.read_text()
    assert "NOISE child init" in trained.stderr


def test_what_evaluate_finds_is_alone(trained, command):
    run = json.loads(trained.stdout)["run_directory"]

    done = command("evaluate", run, "-n", "1", "--json")

    assert json.loads(done.stdout)["environment"] == "Noisy-v0"
    assert "NOISE child init" in done.stderr


def test_native_code_that_ends_the_process_is_named_by_its_line(trained, command, monkeypatch):
    run = json.loads(trained.stdout)["run_directory"]
    monkeypatch.setenv("ABORTS", "1")

    done = command("evaluate", run, "-n", "1")

    assert done.returncode == -signal.SIGABRT
    assert re.search(r'Aborted.*File ".*noisy_pole.py", line \d+ in step', done.stderr, re.DOTALL)


@pytest.mark.parametrize("name", ["train", "evaluate", "info", "record"])
def test_every_command_with_an_object_keeps_standard_output_for_it(name):
    command = cli.get_command(click.Context(cli), name)

    assert [p.callback.__qualname__ for p in command.params if p.name == "as_json"] == [
        "json_option.<locals>.begin"
    ]
