"""What is refused before anything is started, and what a run leaves."""

import json
import sys

import pytest

from tinyqueue.cli.train import resume_command
from tinyqueue.installing import install_command
from tinyqueue.local import choices
from tinyqueue.run.run_directory import RunDirectory


@pytest.fixture
def experiment_file(tmp_path):
    def write(text):
        path = tmp_path / "experiment.toml"
        path.write_text(text)
        return path

    return write


POLE = '[environment]\nid = "CartPole-v1"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[environment]\nid = "CartPool-v1"', "unknown environment 'CartPool-v1'; did you mean"),
        ('[environment]\nid = "CartPole-v7"', "did you mean 'CartPole-v1'?"),
        ('[environment]\nid = "os:CartPole-v1"', "is not an environment id"),
        (
            POLE + '[algorithm]\nname = "impela"',
            "algorithm 'impela'; did you mean 'impala'",
        ),
        (POLE + '[model]\nname = "mpl"', "unknown model 'mpl'; did you mean 'mlp'"),
        (
            POLE + "[algorithm]\ngama = 0.9",
            "key in [algorithm] 'gama'; did you mean 'gamma'",
        ),
        (POLE + "[session]\nslot = 3", "unknown key in [session] 'slot'; did you mean 'slots'"),
        (POLE + "[sesion]\nslots = 3", "unknown key 'sesion'; did you mean 'session'?"),
        (POLE + "[session]\nslots = 0", "session.slots = 0: Input should be greater than 0"),
        (POLE + '[session]\nticks = "many"', "session.ticks = 'many'"),
        (POLE + "[algorithm]\ngamma = 1.5", "gamma"),
        (
            POLE + '[algorithm]\nname = "ppo"\nminibatches = 5\n[session]\nslots = 7',
            "algorithm.minibatches = 5 does not divide the 224 env steps of an update",
        ),
        ("seed = -1\n" + POLE, "seed = -1 must be a whole number"),
        ("[environment", "is not valid TOML"),
        ("", "environment.id"),
    ],
)
def test_a_mistake_in_a_file_is_named_and_starts_nothing(
    tinyqueue, experiment_file, tmp_path, text, said
):
    result = tinyqueue("train", experiment_file(text))

    assert result.code == 1
    assert result.err.startswith("error: ")
    assert said in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "runs").exists()


def test_the_file_with_the_mistake_is_named(tinyqueue, experiment_file):
    path = experiment_file('name = "pole"')

    assert tinyqueue("train", path).err == f"error: {path}: environment.id: Field required.\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--set", "algorithm.gama=1"), "error: unknown key in [algorithm] 'gama'"),
        (("--stop-at-return", "nan"), "error: stop.at_return = nan"),
    ],
)
def test_a_mistake_that_is_not_in_the_file_is_not_laid_on_it(
    tinyqueue, experiment_file, words, said
):
    assert tinyqueue("train", experiment_file(POLE), *words).err.startswith(said)


def test_the_file_with_the_mistake_is_named_beside_options(tinyqueue, experiment_file):
    path = experiment_file(POLE + "[session]\nslots = 0")

    refused = tinyqueue("train", path, "--set", "seed=1")

    assert refused.err.startswith(f"error: {path}: session.slots = 0")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing to train: name an environment"),
        (("nowhere.toml",), "nowhere.toml cannot be read: No such file or directory"),
        (("CartPole-v1", "--set", "gamma"), "--set 'gamma' must have the form section.key=value"),
        (("CartPole-v1", "--set", "algorithm.gama=1"), "did you mean 'gamma'?"),
        (("CartPole-v1", "--set", "seed.x=1"), "'seed' is a value, not a section"),
        (("CartPole-v1", "--resume", "runs/x/1"), "either something to train or --resume RUN"),
        (("--resume", "runs/x/1", "--seed", "3"), "--seed is for a new run"),
        (("--resume", "runs/x/1", "--init-from", "runs/y/1"), "--init-from is for a new run"),
        (("CartPole-v1", "--init-from", "runs/y/1"), "runs/y/1 does not exist"),
        (("--resume", "runs/x/1"), "runs/x/1 does not exist. There are no runs"),
        (("CartPole-v1", "--players", "0"), "they cannot reach services that are private"),
    ],
)
def test_a_mistake_on_the_command_line_is_named(tinyqueue, tmp_path, words, said):
    result = tinyqueue("train", *words)

    assert result.code == 1
    assert said in result.err
    assert not (tmp_path / "runs").exists()


def test_an_unreachable_service_is_named_without_its_password(tinyqueue, monkeypatch):
    monkeypatch.setenv("TINYQUEUE_BROKER_URL", "amqp://me:secret@localhost:1//")
    monkeypatch.setenv("TINYQUEUE_REDIS_URL", "redis://me:secret@localhost:1/0")

    result = tinyqueue("train", "CartPole-v1", "--players", "0")

    assert result.code == 1
    assert "amqp://me:***@localhost:1// cannot be used" in result.err
    assert "Start it" in result.err
    assert "secret" not in result.err + result.out


def test_a_broker_of_another_kind_is_refused(tinyqueue, monkeypatch):
    monkeypatch.setenv("TINYQUEUE_BROKER_URL", "kafka://localhost")

    result = tinyqueue("train", "CartPole-v1")

    assert result.code == 1
    assert "TINYQUEUE_BROKER_URL begins with 'kafka'" in result.err


@pytest.mark.integration
def test_without_tensorflow_the_extra_is_named(tinyqueue, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)

    result = tinyqueue("train", "CartPole-v1", "--serial")

    assert result.code == 1
    assert install_command("learner") in result.err


@pytest.mark.integration
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cartpole-dqn", "--set", "replay.capacity_steps=100"), "it needs room for at least two"),
        (("cartpole-dqn", "--set", "replay.minimum_steps=100_000"), "can never be reached"),
    ],
)
def test_settings_that_do_not_fit_each_other_leave_no_run(tinyqueue, tmp_path, words, said):
    result = tinyqueue("train", *words, "--serial")

    assert result.code == 1
    assert said in result.err
    assert list(tmp_path.iterdir()) == []


def test_training_without_an_end_gets_one(tinyqueue, tmp_path, monkeypatch):
    monkeypatch.setattr(choices, "ENV_STEPS", 256)

    result = tinyqueue("train", "CliffWalkingSlippery-v1", "--serial", "--json")

    (run,) = (tmp_path / "runs").glob("*/*")
    assert "so training ends after 256 env steps: --max-env-steps N or" in result.err
    assert json.loads(result.out)["ended"] == "max env steps"
    assert RunDirectory.open(run).document()["stop"]["max_env_steps"] == 256


def test_a_module_before_the_id_is_imported_and_advised(tinyqueue, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TINYQUEUE_ENVIRONMENT_MODULES", "json")
    (tmp_path / "own_pole.py").write_text(
        "import gymnasium\n"
        "from gymnasium.envs.classic_control import CartPoleEnv\n"
        "gymnasium.register('OwnPole-v0', CartPoleEnv, max_episode_steps=9)\n"
    )

    result = tinyqueue("train", "own_pole:OwnPole-v0", "--serial", "--max-env-steps", "64")

    assert result.code == 0
    assert "OwnPole-v0 with impala" in result.out
    assert "TINYQUEUE_ENVIRONMENT_MODULES=json,own_pole " in result.out


@pytest.mark.parametrize("target", ["os.path:CartPole-v7", "no_such:CartPole-v1", "1x:CartPole-v1"])
def test_a_module_or_an_id_that_cannot_be_found_is_named(tinyqueue, tmp_path, target):
    result = tinyqueue("train", target)

    assert result.code == 1
    assert ("CartPole-v7" in result.err) or ("no_such" in result.err) or ("1x:Cart" in result.err)
    assert not (tmp_path / "runs").exists()


def test_a_run_in_use_is_not_resumed(tinyqueue, tmp_path):
    document = {"name": "pole", "environment": {"id": "CartPole-v1"}}
    run = RunDirectory.create(tmp_path / "runs", document, {})

    result = tinyqueue("train", "--resume", run.path)
    run.close()

    assert result.code == 1
    assert "in use" in result.err


@pytest.mark.parametrize(
    ("asked", "again"),
    [
        ((None, "auto", False), []),
        ((3, "rabbitmq", False), ["--players", "3", "--broker", "rabbitmq"]),
        ((None, "auto", True), ["--serial"]),
    ],
)
def test_a_run_is_gone_on_with_as_it_was_laid_out(asked, again):
    assert resume_command(*asked) == ["tinyqueue", "train", *again, "--resume"]
