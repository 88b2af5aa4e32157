"""What an environment is, found out here or in a child process."""

import os
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

import tinyqueue.envs.describe as describe_module
from tinyqueue.data.spaces import Leaf
from tinyqueue.envs.describe import EnvironmentInfo, describe, describe_in_child
from tinyqueue.envs.names import import_allowed
from tinyqueue.errors import ConfigError
from tinyqueue.experiment.environment import EnvironmentConfig


def has_ended(pid):
    """Within a moment; a zombie counts as ended."""
    for _ in range(200):
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module that a child process can import, and returns its name."""

    def write(source):
        (tmp_path / "written_envs.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
        return "written_envs"

    return write


def test_cartpole_is_described():
    info = describe(EnvironmentConfig(id="CartPole-v1"))
    assert info == EnvironmentInfo(
        id="CartPole-v1",
        observation_space={"": Leaf("float32", (4,))},
        action_space={"": Leaf("uint8", (), n=2)},
        reward_threshold=475.0,
        max_episode_steps=500,
    )


def test_a_configured_limit_replaces_the_environments_own():
    info = describe(EnvironmentConfig(id="Acrobot-v1", max_episode_steps=50))
    assert info.max_episode_steps == 50


def test_an_environment_without_a_threshold_has_none():
    assert describe(EnvironmentConfig(id="Blackjack-v1")).reward_threshold is None


def test_continuous_actions_travel_in_the_policys_units():
    info = describe(EnvironmentConfig(id="Pendulum-v1"))
    assert info.action_space == {"": Leaf("float32", (1,), low=-1.0, high=1.0)}


SPEAKING = """
import gymnasium
from gymnasium import spaces

class Speaking(gymnasium.Env):
    observation_space = spaces.Discrete(2)
    action_space = spaces.Dict({"arm": spaces.Discrete(2), "say": spaces.Text(9)})

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 0, {}

    def step(self, action):
        return 1, 0.0, False, False, {}

gymnasium.register("Speaking-v0", Speaking)
"""


def test_actions_that_nothing_here_learns_are_refused_at_once(module):
    name = module(SPEAKING)
    with pytest.raises(ConfigError, match=r"the actions of Speaking-v0 contain .*Text.* at 'say'"):
        describe_in_child(EnvironmentConfig(id="Speaking-v0"), [name])


def test_a_tuple_is_observed_by_number():
    info = describe(EnvironmentConfig(id="Blackjack-v1"))
    assert [leaf.n for leaf in info.observation_space.values()] == [32, 11, 2]
    assert list(info.observation_space) == ["0", "1", "2"]


TALKING = """
import gymnasium
from gymnasium import spaces

class Talking(gymnasium.Env):
    observation_space = spaces.Dict({
        "mission": spaces.Text(9),
        "arm": spaces.Dict({"angle": spaces.Box(-1, 1, (2,)), "name": spaces.Text(9)}),
    })
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, False, False, {}

gymnasium.register("Talking-v0", Talking)
"""


def test_texts_are_dropped_and_said(module):
    name = module(TALKING)
    info = describe_in_child(EnvironmentConfig(id="Talking-v0"), [name])
    assert info.drop == ("arm/name", "mission")
    assert list(info.observation_space) == ["arm/angle"]


def test_what_is_dropped_by_setting_stays_dropped(module):
    name = module(TALKING)
    info = describe_in_child(EnvironmentConfig(id="Talking-v0", drop=("mission",)), [name])
    assert info.drop == ("mission", "arm/name")


def test_the_child_says_the_same():
    config = EnvironmentConfig(id="FrozenLake-v1", kwargs={"map_name": "8x8"})
    assert describe_in_child(config) == describe(config)


def test_what_an_environment_prints_does_not_spoil_the_answer(module):
    name = module(
        "import os, gymnasium\n"
        "from gymnasium.envs.classic_control.cartpole import CartPoleEnv\n"
        "class Loud(CartPoleEnv):\n"
        "    def __init__(self, **kwargs):\n"
        "        super().__init__(**kwargs); print('{'); os.system('echo hello')\n"
        "gymnasium.register('Loud-v0', Loud, reward_threshold=3.0)\n"
    )
    info = describe_in_child(EnvironmentConfig(id="Loud-v0"), [name])
    assert info.reward_threshold == 3.0
    assert info.max_episode_steps is None


@pytest.mark.slow
def test_what_takes_long_is_said_while_it_lasts_and_when_it_has_ended(module, monkeypatch):
    name = module(
        "import gymnasium, time\n"
        "from gymnasium.envs.classic_control.cartpole import CartPoleEnv\n"
        "class Slow(CartPoleEnv):\n"
        "    def __init__(self, **kwargs):\n"
        "        super().__init__(**kwargs); time.sleep(1.2)\n"
        "gymnasium.register('Slow-v0', Slow)\n"
    )
    monkeypatch.setattr(describe_module, "_SAY_S", 0.6)
    said: list[str] = []

    describe_in_child(EnvironmentConfig(id="Slow-v0"), [name], say=said.append)

    building = [one for one in said if one.startswith("building")]
    assert [one.split(" is ")[0] for one in building] == [
        "building Slow-v0",
        "building Slow-v0 took 1 s",
        "building Slow-v0 a second time",
        "building Slow-v0 a second time took 1 s",
    ]


def test_an_error_in_the_child_comes_back_as_its_text():
    with pytest.raises(ConfigError, match="did you mean 'CartPole-v1'"):
        describe_in_child(EnvironmentConfig(id="CartPoel-v1"))


@pytest.mark.integration
def test_a_ctrl_c_ends_the_child_with_all_that_its_environment_started(module, tmp_path):
    name = module(
        "import pathlib, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    stopping = threading.Event()

    def stop_when_it_has_begun():
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.01)
        stopping.set()

    threading.Thread(target=stop_when_it_has_begun, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        describe_in_child(EnvironmentConfig(id="CartPole-v1"), [name], stopping=stopping)

    assert has_ended(int((tmp_path / "pid").read_text()))


def test_a_child_that_is_killed_by_its_environment_is_told_by_signal(module):
    name = module("import os; os.write(2, b'last words'); os.kill(os.getpid(), 11)")
    with pytest.raises(ConfigError, match=r"CartPole-v1 ended its process: SIGSEGV.*last words"):
        describe_in_child(EnvironmentConfig(id="CartPole-v1"), [name])


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("import os; os.closerange(3, 200)", "closes open files of its process"),
        ("import sys; sys.stdout = None", None),
        ("import sys; sys.stdout.close()", None),
        ("import os; os.write(2, b'x' * 80 + b'\\n' * 9 + b'last words\\n' * 50); os._exit(3)",
         r"exit code 3. Its output: last words\nlast"),
    ],
)  # fmt: skip
def test_what_an_environment_does_to_its_process_is_borne_or_named(module, does, says):
    name = module(
        "import gymnasium\n"
        "from gymnasium.envs.classic_control.cartpole import CartPoleEnv\n"
        "class Meddles(CartPoleEnv):\n"
        "    def step(self, action):\n"
        f"        {does}\n"
        "        return super().step(action)\n"
        "gymnasium.register('Meddles-v0', Meddles)\n"
    )

    with pytest.raises(ConfigError, match=says) if says else nullcontext():
        assert describe_in_child(EnvironmentConfig(id="Meddles-v0"), [name]).id == "Meddles-v0"


def test_a_module_that_ends_the_program_when_imported_is_named_with_its_line(module, monkeypatch):
    name = module("import argparse\nargparse.ArgumentParser().parse_args()\n")
    monkeypatch.setattr("sys.argv", ["tinyqueue", "train"])
    monkeypatch.syspath_prepend(os.environ["PYTHONPATH"].partition(":")[0])

    with pytest.raises(ConfigError, match=rf"'{name}' ended the program.*{name}.py:2"):
        import_allowed([name])
