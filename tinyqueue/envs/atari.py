"""Atari games by ``environment.atari``: ale-py's C++ vector environment, or Gymnasium's wrappers.

Both play the same: with no-ops, sticky actions and FIRE off, frames and rewards are identical
(tests/envs/test_atari.py compares them for 500 ticks); with them on, each draws from its own
generator. The C++ form is used whenever it supports every setting.

Both differ from other implementations in this: FIRE and no-ops are played before an episode's
first observation and do not count towards its frame limit; a game that ends in the middle of a
tick leaves the frame skip there, so that its last observation is the previous one, maxed with what
was drawn since; a lost life does not begin a new game, as ``episodic_life`` of the vector
environment would.
"""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.wrappers import (
    AtariPreprocessing,
    ResizeObservation,
    TimeLimit,
    TransformObservation,
)

from tinyqueue.envs.atari_slots import AtariSlots, LivesOfAll, OpenedAll
from tinyqueue.envs.atari_wrappers import LastFrame, Lives, Opened, Opening, Unstuck
from tinyqueue.errors import ConfigError
from tinyqueue.experiment.environment import AtariConfig, EnvironmentConfig

_IN_CPP = ("full_action_space", "obs_type")
# Arguments of the single environment that the C++ form has too, or that are reported separately.

_MOST_PRESSES = 50

_LUMINANCE = np.array([[0.2125, 0.7154, 0.0721]])
# Weights of red, green and blue (ITU-R BT.709).


def slower_because(config: EnvironmentConfig) -> list[str]:
    """The settings that ale-py's vector environment lacks; empty if it can be used."""
    atari = _protocol(config)
    lacking = {
        "environment.atari.crop": atari.crop is not None,
        'environment.atari.colour = "luminance"': atari.colour == "luminance",
        "environment.atari.stuck_ticks": atari.stuck_ticks > 0,
        'environment.kwargs.obs_type = "ram"': config.observes_ram,
        "environment.keep": config.keep is not None,
        "environment.wrappers": bool(config.wrappers),
    }
    lacking |= {f"environment.kwargs.{key}": key not in _IN_CPP for key in config.kwargs}
    return [name for name, is_lacking in lacking.items() if is_lacking]


def limit_frames(config: EnvironmentConfig) -> int:
    """Frames after which an episode is truncated, from the protocol and ``max_episode_steps``."""
    atari = _protocol(config)
    ticks = config.max_episode_steps
    own = atari.max_frames_per_episode
    return own if ticks is None else min(own, ticks * atari.frame_skip)


def make_game(
    config: EnvironmentConfig, spec: EnvSpec, *, whole_games: bool = False, **kwargs: Any
) -> gymnasium.Env[Any, Any]:
    """One game under Gymnasium's wrappers.

    Args:
        config: An environment with a protocol.
        spec: Its registration.
        whole_games: Play on after a lost life even if ``life_loss`` ends episodes there;
            ``info["life_begun"]`` marks the tick on which the next life began.
        kwargs: Further arguments, such as ``render_mode``.
    """
    atari = _protocol(config)
    arguments: dict[str, Any] = {**config.kwargs, **kwargs}
    game = gymnasium.make(
        spec,
        disable_env_checker=True,
        **arguments
        | {
            "frameskip": 1,
            "repeat_action_probability": atari.sticky,
            "max_num_frames_per_episode": 0,
            "obs_type": "grayscale" if atari.colour == "gray" else "rgb",
        },
    )
    raw = game.observation_space.shape
    assert raw is not None
    presses = atari.fire_reset and _fire(game) is not None
    game = Opening(game, atari.noop_max, fire=presses)
    game = TimeLimit(game, limit_frames(config))
    size = (atari.size, atari.size)
    later = atari.crop is not None or atari.colour == "luminance"
    preprocessing = AtariPreprocessing if atari.max_frames else LastFrame
    game = preprocessing(
        game,
        noop_max=0,
        frame_skip=atari.frame_skip,
        screen_size=(raw[1], raw[0]) if later else size,
        grayscale_obs=atari.colour == "gray",
    )
    if config.observes_ram:
        game = _observing_ram(game)
    elif later:
        game = _cropped(game, atari)
        if atari.colour == "luminance":
            game = _luminous(game)
        game = ResizeObservation(game, size)
    if atari.stuck_ticks:
        game = Unstuck(game, atari.stuck_ticks, _fire(game))
    fire = _fire(game) if presses else None
    if whole_games and fire is not None and atari.sticky:
        game = Opened(game, fire, _presses(atari))
    if atari.life_loss:
        game = Lives(game, fire or 0, ends=not whole_games, ticks=_presses(atari))
    return game


def make_slots(
    config: EnvironmentConfig, spec: EnvSpec, slots: int, *, whole_games: bool = False
) -> VectorEnv[Any, Any, Any]:
    """``slots`` games in C++ on one thread, each a single frame; see :func:`make_game`."""
    from ale_py import Action
    from ale_py.vector_env import AtariVectorEnv

    atari = _protocol(config)
    vector = AtariVectorEnv(
        spec.kwargs["game"],
        slots,
        batch_size=0,
        num_threads=1,  # Each player has one core.
        thread_affinity_offset=-1,
        max_num_frames_per_episode=limit_frames(config),
        repeat_action_probability=atari.sticky,
        full_action_space=bool(config.kwargs.get("full_action_space", False)),
        continuous=False,
        continuous_action_threshold=0.5,
        autoreset_mode=AutoresetMode.NEXT_STEP,
        img_height=atari.size,
        img_width=atari.size,
        grayscale=atari.colour == "gray",
        stack_num=1,
        frameskip=atari.frame_skip,
        maxpool=atari.max_frames,
        noop_max=atari.noop_max + 1,  # It draws from 0 to noop_max − 1.
        episodic_life=False,  # It would begin a new game after every life.
        life_loss_info=False,
        reward_clipping=False,
        use_fire_reset=atari.fire_reset,
    )
    games: VectorEnv[Any, Any, Any] = vector
    actions = list(vector.ale.get_action_set())
    press = actions.index(Action.FIRE) if atari.fire_reset and Action.FIRE in actions else 0
    if whole_games and press and atari.sticky:
        games = OpenedAll(games, press, _presses(atari))
    if atari.life_loss:
        games = LivesOfAll(games, press, ends=not whole_games, ticks=_presses(atari))
    return AtariSlots(games)


def _presses(atari: AtariConfig) -> int:
    """Ticks of FIRE that begin a life in whole games, where the policy may never press it again.

    With ``sticky`` 0.25 a single tick of four frames is ignored once in 256 times, two ticks once
    in 65,536. More are pressed, up to fifty, if that would be more than once in 10,000.
    """
    if not atari.sticky:
        return 1
    ticks = math.ceil(math.log(1e-4) / math.log(atari.sticky) / atari.frame_skip)
    return min(max(2, ticks), _MOST_PRESSES)


def _protocol(config: EnvironmentConfig) -> AtariConfig:
    if config.atari is None:
        raise ConfigError(f"{config.id} is not an Atari game: it has no [environment.atari].")
    return config.atari


def _fire(game: gymnasium.Env[Any, Any]) -> int | None:
    """The index of the plain FIRE action, if the game has it."""
    meanings: list[str] = game.unwrapped.get_action_meanings()  # type: ignore[attr-defined]
    return meanings.index("FIRE") if "FIRE" in meanings else None


def _cropped(game: gymnasium.Env[Any, Any], atari: AtariConfig) -> gymnasium.Env[Any, Any]:
    if atari.crop is None:
        return game
    height, width, *colours = game.observation_space.shape or ()
    top, bottom, left, right = atari.crop
    rows, columns = slice(top, height - bottom), slice(left, width - right)
    shape = (height - top - bottom, width - left - right, *colours)
    space = gymnasium.spaces.Box(0, 255, shape, np.uint8)
    return TransformObservation(game, lambda screen: screen[rows, columns], space)


def _luminous(game: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """Like GrayscaleObservation, but ten times as fast, and rounded rather than truncated."""
    import cv2

    shape = game.observation_space.shape or ()
    space = gymnasium.spaces.Box(0, 255, shape[:2], np.uint8)
    return TransformObservation(game, lambda screen: cv2.transform(screen, _LUMINANCE), space)


def _observing_ram(game: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    console = game.unwrapped.ale  # type: ignore[attr-defined]
    space = gymnasium.spaces.Box(0, 255, (128,), np.uint8)
    return TransformObservation(game, lambda _: console.getRAM().copy(), space)
