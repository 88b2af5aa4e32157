"""Given Atari games: both forms play the same, and every setting does what it says."""

import hashlib
import re
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from structlog.testing import capture_logs

from tinyqueue.envs.atari import slower_because
from tinyqueue.envs.atari_slots import AtariSlots
from tinyqueue.envs.build import make_environment, make_vector, make_vectorised, reset_seeded
from tinyqueue.envs.describe import describe
from tinyqueue.envs.side_by_side import SideBySide
from tinyqueue.errors import ConfigError, MissingExtraError
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.installing import install_command

pytest.importorskip("ale_py")

PLAIN = {"sticky": 0.0, "noop_max": 0, "fire_reset": False}
"""Nothing is drawn."""


def game(name, max_episode_steps=None, kwargs=None, **atari):
    return EnvironmentConfig(
        id=f"ALE/{name}-v5",
        max_episode_steps=max_episode_steps,
        kwargs=kwargs or {},
        atari=PLAIN | atari,
    )


def in_cpp(config, slots=1):
    vector = make_vectorised(config, slots)
    assert isinstance(vector, AtariSlots)
    return vector


def in_wrappers(config, slots=1):
    return SyncVectorEnv([lambda: make_environment(config)] * slots)


def actions(ticks, slots=1, seed=0):
    """Of the four that every game here has: none, FIRE, and two directions."""
    return np.random.default_rng(seed).integers(4, size=(ticks, slots))


def played(vector, chosen, seed=3):
    """Frames, rewards and both ends, each ``[T, B, …]``, the first frames apart."""
    first = reset_seeded(vector, seed).copy()
    ticks = [vector.step(action)[:4] for action in chosen]
    columns = [np.stack([np.array(tick[i]) for tick in ticks]) for i in range(4)]
    vector.close()
    return [first, *columns]


def same(mine, other):
    assert all(np.array_equal(a, b) for a, b in zip(mine, other, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "atari"),
    [
        ("Pong", {}),
        ("Breakout", {}),
        ("Breakout", {"life_loss": True}),
        ("Breakout", {"life_loss": True, "fire_reset": True}),
        ("SpaceInvaders", {"max_frames": False, "frame_skip": 3, "max_frames_per_episode": 700}),
        ("Qbert", {"colour": "rgb", "size": 64, "max_frames_per_episode": 402}),
    ],
)
def test_cpp_and_wrappers_give_identical_frames_and_rewards(name, atari):
    config = game(name, **atari)
    chosen = actions(500)

    cpp, wrapped = played(in_cpp(config), chosen), played(in_wrappers(config), chosen)

    same(cpp, wrapped)
    assert cpp[2].any(), "the game must have scored for the comparison to mean anything"
    assert name == "Pong" or (cpp[3] | cpp[4]).any()


GOLDEN = {
    "Pong": "e58c49a688989a6d515a341e5fd8bf3f6042724f657e659093dc5706e6ebac6c",
    "Breakout": "ca37f7148b0ec7204188a3b23657fa6f73f15ce570a41632250d5509744fac26",
}
"""sha256 of the first 200 frames under the actions drawn from seed 0: they must never change."""


@pytest.mark.parametrize("name", GOLDEN)
def test_the_first_200_frames_are_those_of_old(name):
    config = game(name)

    first, frames, *_ = played(in_cpp(config), actions(199))

    seen = np.concatenate([first[None], frames])
    assert (seen.shape, seen.dtype) == ((200, 1, 84, 84), np.uint8)
    assert hashlib.sha256(seen.tobytes()).hexdigest() == GOLDEN[name]


def openings(vector):
    """How often an episode of 240 began after so many frames, by the frame that it began with."""
    reset_seeded(vector, 5)
    seen = Counter()
    for _ in range(240):
        frame, info = vector.reset()
        seen[int(info["episode_frame_number"][0]), frame.tobytes()] += 1
    vector.close()
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("fire", [False, True])
def test_no_ops_and_fire_are_drawn_alike(fire):
    """Breakout's ball moves from the frame of FIRE on."""
    config = game("Breakout", noop_max=3, fire_reset=fire)

    cpp, wrapped = openings(in_cpp(config)), openings(in_wrappers(config))

    # FIRE is the first of 0 to 3 frames, and pressed when 0 was drawn too.
    chances = {1: 0.5, 2: 0.25, 3: 0.25} if fire else dict.fromkeys(range(4), 0.25)
    for drawn in (cpp, wrapped):
        shares = {frames: count / 240 for (frames, _), count in drawn.items()}
        assert shares == pytest.approx(chances, abs=0.12)
    assert cpp.keys() == wrapped.keys()


@pytest.mark.slow
@pytest.mark.parametrize("form", [in_cpp, in_wrappers])
def test_actions_stick_as_often_as_said(form):
    """Breakout shows a still screen until FIRE, but for the paddle."""
    vector = form(game("Breakout", sticky=0.25, frame_skip=1, max_frames=False, size=160))
    still = reset_seeded(vector, 1).copy()
    none, right = np.array([0]), np.array([2])
    moved = 0
    for _ in range(300):
        vector.reset()
        vector.step(right)
        moved += not np.array_equal(vector.step(none)[0], still)

    # One frame of it, which a quarter of the time plays the frame before once more instead.
    assert moved / 300 == pytest.approx(0.75, abs=0.09)
    vector.close()


@pytest.mark.slow
@pytest.mark.parametrize("form", [in_cpp, in_wrappers])
def test_slots_differ_and_a_seed_repeats_them(form):
    config = EnvironmentConfig(id="ALE/SpaceInvaders-v5")
    chosen = actions(40, 4)

    first, again = played(form(config, 4), chosen, 7), played(form(config, 4), chosen, 7)
    other = played(form(config, 4), chosen, 8)

    same(first, again)
    assert not np.array_equal(first[1], other[1])
    assert len({first[1][:, slot].tobytes() for slot in range(4)}) == 4


def test_an_episode_ends_and_begins_by_next_step_autoreset():
    config = game("Pong", max_episode_steps=5)
    vector = in_cpp(config, 2)
    assert vector.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP

    first, frames, rewards, terminated, truncated = played(vector, actions(13, 2))

    assert truncated[:, 0].tolist() == [t in (4, 10) for t in range(13)]
    assert not terminated.any()
    assert np.array_equal(frames[5], first)
    assert not rewards[5].any()


def test_frames_limit_an_episode_like_ticks_do():
    by_frames = describe(game("Pong", max_frames_per_episode=18))
    assert by_frames.max_episode_steps == 5
    assert describe(game("Pong", max_episode_steps=7)).max_episode_steps == 7
    assert describe(EnvironmentConfig(id="ALE/Pong-v5")).max_episode_steps == 27_000


@pytest.mark.parametrize("form", [in_cpp, in_wrappers])
def test_a_lost_life_ends_an_episode_and_the_game_goes_on(form):
    config = game("Breakout", life_loss=True, fire_reset=True)
    vector = form(config)

    _, frames, rewards, terminated, _ = played(vector, np.zeros((400, 1), np.int64))

    ends = np.flatnonzero(terminated[:, 0])
    # FIRE is pressed for each of the five lives, so that an idle player loses them all.
    assert len(ends) >= 5
    assert not rewards[ends[:-1] + 1].any()
    # The score at the top is that of the same game, not blank as after a new one.
    assert not np.array_equal(frames[ends[0] + 1], frames[ends[4] + 1])


def test_a_whole_game_goes_on_through_lost_lives_and_tells_of_them():
    config = game("Breakout", life_loss=True, fire_reset=True)
    vector = make_vectorised(config, 1, whole_games=True)
    assert vector is not None
    single = make_environment(config, whole_games=True)
    reset_seeded(vector, 3)
    single.reset(seed=3)
    begun, ends = [], []
    for tick in range(400):
        seen, reward, terminated, truncated, info = vector.step(np.zeros(1, np.int64))
        here = single.step(0)
        same(here[0], seen[0])
        assert here[1:4] == (reward[0], terminated[0], truncated[0])
        assert here[4]["life_begun"] == info["life_begun"][0]
        begun += [tick] if info["life_begun"][0] else []
        if terminated[0]:
            ends.append(tick)
            break

    assert len(begun) == 4
    assert len(ends) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("frame_skip", "slots", "ticks"), [(4, 4, 1_500), (1, 4, 3_200)])
def test_an_idle_player_ends_whole_games_though_fire_may_go_unheard(frame_skip, slots, ticks):
    # Given sticky actions: a FIRE of one frame goes unheard once in four
    config = game("Breakout", life_loss=True, fire_reset=True, sticky=0.25, frame_skip=frame_skip)
    vector = make_vectorised(config, slots, whole_games=True)
    single = make_environment(config, whole_games=True)

    # When nobody presses FIRE
    ended = played(vector, np.zeros((ticks, slots), np.int64))[3]

    # Then every slot has lost its games, and so has a single one
    assert ended.sum(axis=0).min() >= 1
    for seed in range(2):
        single.reset(seed=seed)
        assert any(single.step(0)[2] for _ in range(2_800 // frame_skip))


def test_settings_that_cpp_lacks_take_the_wrappers_and_say_so_once():
    config = game("Pong", crop=(34, 16, 0, 0), colour="luminance")

    with capture_logs() as logs:
        vector = make_vector(config, 2)

    assert isinstance(vector, SideBySide)
    assert vector.single_observation_space.shape == (84, 84)
    (line,) = logs
    assert "about half as fast" in line["event"]
    assert line["event"].endswith(
        'lacks environment.atari.crop, environment.atari.colour = "luminance"'
    )
    vector.close()


@pytest.mark.parametrize(
    ("settings", "reasons"),
    [
        ({}, []),
        ({"kwargs": {"full_action_space": True}}, []),
        ({"kwargs": {"difficulty": 1}}, ["environment.kwargs.difficulty"]),
        ({"kwargs": {"obs_type": "ram"}}, ['environment.kwargs.obs_type = "ram"']),
        ({"stuck_ticks": 5}, ["environment.atari.stuck_ticks"]),
        ({"max_frames": False, "colour": "rgb", "life_loss": True, "size": 42}, []),
    ],
)
def test_only_what_cpp_lacks_is_slower(settings, reasons):
    assert slower_because(game("Pong", **settings)) == reasons


def test_the_whole_set_of_actions_is_there_in_both_forms():
    config = game("Pong", kwargs={"full_action_space": True})
    actions: list[Any] = [in_cpp(config).single_action_space, make_environment(config).action_space]
    assert [space.n for space in actions] == [18, 18]


def test_a_crop_cuts_the_screen_before_it_is_scaled():
    whole = make_environment(game("Pong", size=84))
    cropped = make_environment(game("Pong", crop=(34, 16, 0, 0)))

    whole.reset(seed=0)
    cropped.reset(seed=0)

    for _ in range(60):
        frame = whole.step(0)[0]
        part = cropped.step(0)[0]
    # The playfield's brown background reaches the edge, and the score is gone.
    assert (part.shape, part.dtype) == ((84, 84), np.uint8)
    assert len(np.unique(part[0])) == 1
    assert len(np.unique(frame[:14])) > 2


def test_luminance_is_that_of_the_first_papers():
    gray, luminance, rgb = (
        make_environment(game("Breakout", colour=colour, crop=(0, 0, 0, 0), size=160))
        for colour in ("gray", "luminance", "rgb")
    )
    seen = [env.reset(seed=0)[0].astype(float) for env in (gray, luminance, rgb)]

    weighted = seen[2] @ [0.2125, 0.7154, 0.0721]
    assert np.abs(seen[1] - weighted).mean() < 2
    assert np.abs(seen[0] - weighted).mean() < 8


def test_ram_is_observed_where_it_is_asked_for():
    config = game("Breakout", kwargs={"obs_type": "ram"})

    env = make_environment(config)
    console: Any = env.unwrapped

    env.reset(seed=0)
    ram = env.step(1)[0]
    assert (ram.shape, ram.dtype) == ((128,), np.uint8)
    assert np.array_equal(ram, console.ale.getRAM())
    assert describe(config).observation_space[""].shape == (128,)


def test_a_game_that_stands_still_is_given_fire():
    env = make_environment(game("Breakout", stuck_ticks=5))
    env.reset(seed=0)

    frames = [env.step(0)[0] for _ in range(30)]

    # Breakout waits for FIRE: nothing moves for five ticks, then the ball does.
    assert all(np.array_equal(frame, frames[0]) for frame in frames[:5])
    assert len({frame.tobytes() for frame in frames}) > 5


def test_wrappers_without_opencv_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    command = re.escape(install_command("atari"))
    with pytest.raises(MissingExtraError, match=f"ALE/Pong-v5.*{command}"):
        make_environment(game("Pong"))


@pytest.mark.parametrize("kwargs", [{"dificulty": 1}, {"mode": "x"}])
def test_arguments_that_a_game_does_not_take_are_named(kwargs):
    with pytest.raises(ConfigError, match=r"ALE/Pong-v5 cannot be built with environment.kwargs"):
        make_vector(game("Pong", kwargs=kwargs), 1)


def test_a_film_can_be_taken_of_a_single_game():
    env = make_environment(game("Pong"), render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().shape == (210, 160, 3)
