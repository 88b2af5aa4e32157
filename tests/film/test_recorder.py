"""Games on film: what the environment shows, as long as the game was."""

import importlib.util
import re
from typing import Any, ClassVar, cast

import gymnasium
import numpy as np
import pytest
from balancing import BALANCES, FALLS, graph, spec
from filming import frames_of, gif_seconds
from gymnasium.error import DependencyNotInstalled

from tinyqueue.envs.spaces import Layout
from tinyqueue.errors import ConfigError, FilmError, MissingExtraError
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.film.recorder import Recorder
from tinyqueue.installing import install_command
from tinyqueue.policy.heads import Uniform, greedy_head
from tinyqueue.policy.runner import PolicyRunner

POLE = EnvironmentConfig(id="CartPole-v1")
GREEDY = greedy_head("categorical", spec().actions)


def pole(weights=FALLS):
    return PolicyRunner(graph(), {"w": weights}, 1)


class Numbered(gymnasium.Env):
    """Games of 30 steps of which the picture after step k is of the grey 7 k."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012
    observation_space = gymnasium.spaces.Box(-1, 1, (4,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode
        self.at = 0

    def reset(self, *, seed=None, options=None):
        self.at = 0
        return np.zeros(4, np.float32), {}

    def step(self, action):
        self.at += 1
        return np.zeros(4, np.float32), 1.0, self.at == 30, False, {}

    def render(self):
        return np.full((64, 64, 3), 7 * self.at, np.uint8)


class NoNetwork:
    """Takes any observation and has no outputs, for actions at random."""

    state_shapes: ClassVar = {}
    uses_previous, env_steps = False, 0

    def run(self, observations, state, previous=None):
        return {}, {}


class Silent(Numbered):
    metadata = {"render_modes": ["human", "ansi"]}  # noqa: RUF012


class Unable(Numbered):
    def render(self):
        raise DependencyNotInstalled("pygame is not installed")


class Forgetful(Numbered):
    def __init__(self, render_mode=None):
        super().__init__()


class Blank(Numbered):
    def render(self):
        return None


@pytest.fixture(autouse=True)
def environments():
    kinds = (Numbered, Silent, Unable, Forgetful, Blank)
    names: dict[str, Any] = {f"{kind.__name__}-v0": kind for kind in kinds}
    for name, made in names.items():
        gymnasium.register(name, made)
    yield
    for name in names:
        del gymnasium.registry[name]


def test_every_step_is_a_frame_and_so_is_the_first_observation(tmp_path):
    with Recorder(POLE, tmp_path) as recorder:
        played = recorder.play(pole(), GREEDY, seed=3)
        take = recorder.end()

    assert 5 < played.lengths[0] < 15
    assert take.frames == played.lengths[0] + 1
    assert take.seconds == pytest.approx(take.frames / 50)
    frames = frames_of(take.files[0])
    assert len(frames) == take.frames
    assert frames[0].shape == (400, 600, 3)


def test_frames_are_the_environments_own_from_the_first_to_the_last(tmp_path):
    with Recorder(EnvironmentConfig(id="Numbered-v0"), tmp_path) as recorder:
        recorder.play(pole(), GREEDY, seed=0)
        (film,) = recorder.end().files

    greys = [float(frame.mean()) for frame in frames_of(film)]
    assert greys == pytest.approx([7 * step for step in range(31)], abs=4)


def test_each_film_has_its_own_games(tmp_path):
    with Recorder(EnvironmentConfig(id="Numbered-v0"), tmp_path) as recorder:
        recorder.play(pole(), GREEDY, seed=0)
        first = recorder.end()
        kept = first.files[0].rename(tmp_path / "kept.mp4")
        recorder.play(pole(), GREEDY, seed=1)
        recorder.play(pole(), GREEDY, seed=2)
        second = recorder.end()

    assert (first.frames, second.frames) == (31, 62)
    assert [len(frames_of(film)) for film in (kept, *second.files)] == [31, 62]


def test_a_gif_lasts_as_long_as_its_film(tmp_path):
    with Recorder(EnvironmentConfig(id="Numbered-v0"), tmp_path) as recorder:
        recorder.play(pole(), GREEDY, seed=0)
        take = recorder.end(gif=True)

    assert [file.suffix for file in take.files] == [".mp4", ".gif"]
    # Every second frame of 30 per second, for 70 ms.
    assert gif_seconds(take.files[1]) == pytest.approx(16 * 0.07)


def test_captions_are_above_the_picture(tmp_path):
    with Recorder(EnvironmentConfig(id="Numbered-v0"), tmp_path, captions=True) as recorder:
        recorder.play(pole(), GREEDY, seed=0, title="1,000 env steps")
        (film,) = recorder.end().files

    frames = frames_of(film)
    assert len(frames) == 31
    assert frames[0].shape == (352, 320, 3)  # Five times 64, below a band of twice 16.
    assert [int(frame[100:].mean()) for frame in frames[::10]] == pytest.approx(
        [0, 70, 140, 210], abs=4
    )
    assert all(frame[:32].max() > 150 for frame in frames)


def test_the_seed_decides_the_game(tmp_path):
    config = POLE.model_copy(update={"max_episode_steps": 40})
    with Recorder(config, tmp_path) as recorder:
        lengths = [
            int(recorder.play(pole(), GREEDY, seed=seed).lengths[0]) for seed in (1, 1, 2, 3, 4)
        ]
        limited = recorder.play(pole(BALANCES), GREEDY, seed=1)

    assert lengths[0] == lengths[1]
    assert len(set(lengths)) > 1
    assert limited.lengths.tolist() == [40]


def test_atari_is_filmed_in_its_own_colours_at_its_own_pace(tmp_path):
    config = EnvironmentConfig(id="ALE/Pong-v5", max_episode_steps=20)
    with Recorder(config, tmp_path) as recorder:
        actions = Layout(gymnasium.spaces.Discrete(6), "actions").space
        recorder.play(cast(Any, NoNetwork()), Uniform(actions), seed=0)
        take = recorder.end()

    assert (take.frames, take.seconds) == (21, pytest.approx(21 / 15))  # 60 per second, of 4.
    frames = frames_of(take.files[0])
    assert frames[-1].shape == (210, 160, 3)
    red, green, blue = frames[-1].reshape(-1, 3).mean(axis=0)
    assert red > green > blue


def test_an_environment_that_draws_no_pictures_is_refused(tmp_path):
    with pytest.raises(FilmError, match=r"Silent-v0 draws no pictures: .*human, ansi.*evaluate"):
        Recorder(EnvironmentConfig(id="Silent-v0"), tmp_path)


def test_an_environment_that_does_not_keep_its_render_mode_is_told_to(tmp_path):
    with pytest.raises(FilmError, match=r"Forgetful-v0 .* Set self\.render_mode = render_mode"):
        Recorder(EnvironmentConfig(id="Forgetful-v0"), tmp_path)


@pytest.mark.filterwarnings("ignore:.*(Recording stopped|zero frames)")
def test_a_render_that_returns_no_picture_is_told(tmp_path):
    with Recorder(EnvironmentConfig(id="Blank-v0"), tmp_path) as recorder:
        recorder.play(pole(), GREEDY, seed=0)
        with pytest.raises(FilmError, match=r"Blank-v0 drew no pictures: .* render\(\)"):
            recorder.end()


def test_what_an_environment_lacks_to_draw_comes_with_the_command_that_brings_it(tmp_path):
    with (
        Recorder(EnvironmentConfig(id="Unable-v0"), tmp_path) as recorder,
        pytest.raises(MissingExtraError, match=re.escape(install_command("video"))),
    ):
        recorder.play(pole(), GREEDY, seed=0)


def test_an_unknown_environment_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="did you mean"):
        Recorder(EnvironmentConfig(id="CartPole-v7"), tmp_path)


def test_a_render_mode_of_the_experiments_own_does_not_count(tmp_path):
    config = POLE.model_copy(update={"kwargs": {"render_mode": "human"}})
    with Recorder(config, tmp_path) as recorder:
        recorder.play(pole(), GREEDY, seed=3)
        assert recorder.end().frames > 5


@pytest.mark.parametrize("absent", ["moviepy", "imageio"])
def test_a_missing_extra_is_said_before_anything_is_played(tmp_path, monkeypatch, absent):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == absent else find(name, *rest),
    )

    with pytest.raises(MissingExtraError, match=r"filming.*" + re.escape(install_command("video"))):
        Recorder(POLE, tmp_path)


def test_a_film_that_cannot_be_written_is_an_error(tmp_path):
    with Recorder(POLE, tmp_path) as recorder:
        recorder.play(pole(), GREEDY, seed=0)
        (tmp_path / "record" / "film.mp4").mkdir()
        with pytest.raises(FilmError, match="cannot be written to"):
            recorder.end()


def test_every_env_step_of_a_game_is_told(tmp_path):
    ticks = []
    with Recorder(POLE, tmp_path) as recorder:
        games = recorder.play(pole(), GREEDY, 1, on_tick=lambda: ticks.append(1))

    assert len(ticks) == games.lengths[0] > 5


def test_packages_that_only_drawing_needs_are_named(tmp_path, monkeypatch):
    gymnasium.register("MinAtar/Maze-v1", entry_point=cast(Any, Numbered))
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "seaborn" else found(name),
    )
    try:
        with pytest.raises(FilmError, match=r"pip install seaborn$"):
            Recorder(EnvironmentConfig(id="MinAtar/Maze-v1"), tmp_path)
    finally:
        gymnasium.registry.pop("MinAtar/Maze-v1")
