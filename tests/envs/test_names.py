"""Environment ids: which are allowed, and what a wrong one is told."""

import re
import subprocess
import sys
from typing import Any

import gymnasium
import pytest
from celery.exceptions import SoftTimeLimitExceeded
from gymnasium.envs.registration import EnvSpec

from tinyqueue.envs.names import (
    draws_pictures,
    find_environment,
    import_allowed,
    reward_threshold,
    split_module,
)
from tinyqueue.errors import ConfigError, MissingExtraError, UnknownNameError
from tinyqueue.installing import install_command


def test_a_registered_id_is_found_exactly():
    assert find_environment("CartPole-v1").id == "CartPole-v1"


@pytest.mark.parametrize(
    "environment_id",
    ["os:CartPole-v1", "a/b/CartPole-v1", "", "CartPole-v1\n", "../x", "x" * 200, "CartPole v1"],
)
def test_an_id_of_another_form_is_refused_before_anything_is_imported(environment_id):
    with pytest.raises(ConfigError, match="is not an environment id"):
        find_environment(environment_id)


@pytest.mark.parametrize(
    ("wrong", "suggested"),
    [
        ("LunarLander-v2", "LunarLander-v3"),
        ("Taxi-v99", "Taxi-v"),
        ("CartPole", "CartPole-v1"),
        ("CartPoel-v1", "CartPole-v1"),
        ("cartpole", "CartPole-v1"),
        ("CartPoel-v0", "CartPole-v0"),
        ("Ant", "Ant-v5"),
        ("ALE/PongNoFrameskip-v4", "ALE/Pong-v5"),
        ("ale/pong-v5", "ALE/Pong-v5"),
        ("minatar/Breakout-v1", "MinAtar/Breakout-v1"),
    ],
)
def test_an_unknown_id_is_told_the_newest_version_or_the_nearest_name(wrong, suggested):
    with pytest.raises(UnknownNameError, match=f"did you mean '{suggested}"):
        find_environment(wrong)


def test_a_name_that_is_near_none_is_told_so():
    with pytest.raises(UnknownNameError, match="none is near") as raised:
        find_environment("Zzzzzz-v5")
    assert raised.value.instead == ()
    assert "list the module that registers it in TINYQUEUE_ENVIRONMENT_MODULES" in str(raised.value)


def test_an_unknown_id_imports_no_module_named_after_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "this", raising=False)
    with pytest.raises(ConfigError):
        find_environment("this:CartPole-v1")
    with pytest.raises(UnknownNameError):
        find_environment("this/CartPole-v1")
    assert "this" not in sys.modules


def test_atari_without_its_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(MissingExtraError, match=re.escape(install_command("atari"))):
        find_environment("ALE/Pong-v5")


@pytest.mark.integration
def test_ale_says_no_banner():
    pytest.importorskip("ale_py")
    code = (
        "from tinyqueue.envs.names import find_environment\n"
        "find_environment('ALE/Pong-v5')\n"
        "import ale_py\n"
        "ale_py.ALEInterface()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_minatar_without_its_package_is_told_to_install_it_since_no_extra_does(monkeypatch):
    monkeypatch.setitem(sys.modules, "minatar.gym", None)
    with pytest.raises(ConfigError, match=r"(?s)MinAtar/Breakout-v1 .*GPL.*pip install minatar$"):
        find_environment("MinAtar/Breakout-v1")


def test_minatar_registers_its_games_once_and_only_when_one_is_asked_for(tmp_path, monkeypatch):
    # Given a package of its name that registers one game
    (tmp_path / "minatar").mkdir()
    (tmp_path / "minatar" / "__init__.py").touch()
    (tmp_path / "minatar" / "gym.py").write_text(
        "import gymnasium\n"
        "calls = []\n"
        "def register_envs():\n"
        "    calls.append(1)\n"
        "    gymnasium.register('MinAtar/Maze-v1', 'gymnasium.envs.toy_text.taxi:TaxiEnv')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(gymnasium.envs.registration, "registry", dict(gymnasium.registry))
    monkeypatch.setattr(gymnasium, "registry", gymnasium.envs.registration.registry)
    for name in ("minatar", "minatar.gym"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    find_environment("CartPole-v1")
    assert "minatar.gym" not in sys.modules

    # When its game and games that are not there are asked for
    found = find_environment("MinAtar/Maze-v1")
    for _ in range(2):
        with pytest.raises(UnknownNameError, match="did you mean 'MinAtar/Maze-v1'"):
            find_environment("MinAtar/Maize-v1")

    # Then it has registered once
    assert found.id == "MinAtar/Maze-v1"
    assert sys.modules["minatar.gym"].calls == [1]
    for name in ("minatar", "minatar.gym"):
        sys.modules.pop(name)


def test_what_draws_pictures_is_told_by_the_class(monkeypatch):
    monkeypatch.setattr(gymnasium, "registry", dict(gymnasium.registry))
    entry: dict[str, Any] = {
        "Blind-v0": lambda: None,
        "Gone-v0": "no_such_maze:Maze",
        "Empty-v0": None,
    }
    for environment_id, made_by in entry.items():
        spec = EnvSpec(environment_id, entry_point=made_by)
        gymnasium.registry[environment_id] = spec

    assert draws_pictures("CartPole-v1")
    assert not any(map(draws_pictures, [*entry, "Nowhere-v0"]))


def test_allowed_modules_are_imported_and_register_their_environments(tmp_path, monkeypatch):
    (tmp_path / "my_maze_envs.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('MyMaze-v0', 'gymnasium.envs.toy_text.taxi:TaxiEnv')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UnknownNameError):
        find_environment("MyMaze-v0")
    try:
        import_allowed(["my_maze_envs"])
        assert find_environment("MyMaze-v0").id == "MyMaze-v0"
    finally:
        gymnasium.registry.pop("MyMaze-v0", None)
        sys.modules.pop("my_maze_envs", None)


def test_an_allowed_module_that_is_absent_is_named_with_its_setting():
    with pytest.raises(ConfigError, match=r"'no_such_maze'.*TINYQUEUE_ENVIRONMENT_MODULES"):
        import_allowed(["no_such_maze"])


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\ndef f(:\n", r"SyntaxError: .* \(at broken_envs.py:2\)"),
        ("\n\nx = 1 / 0\n", r"ZeroDivisionError: division by zero \(at broken_envs.py:3\)"),
        ("raise KeyError('a\\nb')\n", r"KeyError: .* \(at broken_envs.py:1\)"),
        ("class Own(Exception): pass\nraise Own\n", r"Own \(at broken_envs.py:2\)"),
        ("import gymnasium\ngymnasium.register('no id', object)\n", r"Error: .*\(at broken_"),
    ],
)
def test_a_module_that_fails_while_it_is_imported_is_told_with_its_line(
    tmp_path, monkeypatch, source, said
):
    (tmp_path / "broken_envs.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(ConfigError, match=f"'broken_envs' cannot be imported: {said}"):
        import_allowed(["broken_envs"])


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("snake.py:Snake-v0", ": tinyqueue train snake:Snake-v0."),
        ("envs/snake.py:Snake-v0", ": PYTHONPATH=envs tinyqueue train snake:Snake-v0."),
        ("./snake.py:", ": tinyqueue train snake:ID."),
        ("snake:", ": tinyqueue train snake:ID."),
        ("snake:Sn\u00e4ke-v0", "letters from A to Z"),
    ],
)
def test_a_file_before_the_colon_is_told_how_to_be_named(wrong, right):
    assert split_module(wrong) == ("", wrong)
    with pytest.raises(ConfigError, match=re.escape(right)):
        find_environment(wrong)


def registered(threshold: Any) -> EnvSpec:
    return EnvSpec("Snake-v0", reward_threshold=threshold)


@pytest.mark.parametrize(
    ("given", "threshold"),
    [(None, None), (475, 475.0), ("475", 475.0), (float("inf"), None), (float("nan"), None)],
)
def test_a_threshold_is_a_finite_number_or_none(given, threshold):
    assert reward_threshold(registered(given)) == threshold


@pytest.mark.parametrize("given", ["a lot", [475], 10**400])
def test_another_threshold_is_refused(given):
    with pytest.raises(ConfigError, match="Snake-v0 is registered with reward_threshold = "):
        reward_threshold(registered(given))


def test_a_time_limit_that_strikes_an_import_stays_one(tmp_path, monkeypatch):
    (tmp_path / "endless_envs.py").write_text(
        "import celery.exceptions\nraise celery.exceptions.SoftTimeLimitExceeded(3)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(SoftTimeLimitExceeded):
        import_allowed(["endless_envs"])


def test_a_file_of_an_unknown_environments_name_is_pointed_to(tmp_path, monkeypatch):
    (tmp_path / "Zzzzzz.py").touch()
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UnknownNameError, match=r"a file Zzzzzz.py: tinyqueue train Zzzzzz:ID\."):
        find_environment("Zzzzzz")
