"""A script that trains when it is imported is refused wherever that happens, and says why."""

import os
import subprocess
import sys

import pytest

from tinyqueue.envs.names import import_allowed
from tinyqueue.envs.reentry import refuse_nested_training, training
from tinyqueue.errors import ConfigError

SENTENCE = 'put the call to tinyqueue.train under `if __name__ == "__main__":`'
SCRIPT = """
import os
import sys

with open("levels", "a") as levels:
    levels.write(f"{__name__}\\n")
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv

import tinyqueue

gymnasium.register("Mine-v0", entry_point=CartPoleEnv, max_episode_steps=200)
os.environ["TINYQUEUE_ENVIRONMENT_MODULES"] = "train_me"
tinyqueue.train("Mine-v0", serial=True, stop_at_return=1e9, max_env_steps=2000)
"""


@pytest.mark.integration
@pytest.mark.parametrize(
    "command", [["train_me.py"], ["-c", "exec(open('train_me.py').read())"], ["-m", "train_me"]]
)
def test_a_script_without_a_guard_ends_at_once_with_the_guard_named(tmp_path, command):
    (tmp_path / "train_me.py").write_text(SCRIPT)

    done = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].endswith(f"{SENTENCE}.")
    assert "Traceback" not in done.stderr
    # The script, and the one import that was refused.
    assert (tmp_path / "levels").read_text() == "__main__\ntrain_me\n"
    assert not (tmp_path / "runs").exists()


@pytest.mark.integration
def test_what_multiprocessing_spawns_while_a_script_trains_does_not_train_again(tmp_path):
    (tmp_path / "script.py").write_text(
        "import multiprocessing\n"
        "from tinyqueue.envs.reentry import training\n"
        "with training():\n"
        "    print('trains', flush=True)\n"
        "    child = multiprocessing.get_context('spawn').Process(target=print)\n"
        "    child.start()\n"
        "    child.join()\n"
    )

    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stdout == "trains\n"
    assert SENTENCE in done.stderr


def test_one_training_may_follow_another():
    for _ in range(2):
        with training():
            pass
    refuse_nested_training()


def test_a_child_of_a_process_that_trains_does_not_train(monkeypatch):
    monkeypatch.setenv("TINYQUEUE_TRAINING", "1")

    with pytest.raises(ConfigError, match="the script trains whenever it is imported"):
        refuse_nested_training()


def test_after_an_import_that_failed_training_may_begin(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="no_such_module"):
        import_allowed(["no_such_module"])

    refuse_nested_training()
