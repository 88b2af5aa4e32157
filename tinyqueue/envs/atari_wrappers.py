"""What Gymnasium's Atari wrappers lack, for one game, in the order of ``atari.make_game``."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.wrappers import AtariPreprocessing

from tinyqueue.data.spaces import Array

Game = gymnasium.Env[Any, Any]


class Opening(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Plays the frames before an episode's first observation: FIRE, then no-ops.

    It follows ale-py's vector environment: 0 to ``noop_max`` frames in all, drawn uniformly. FIRE
    is the first of them, and is played even if 0 was drawn. AtariPreprocessing draws from 1
    upwards and does not press FIRE.

    Args:
        game: A game with ``frameskip=1``.
        noop_max: Most frames to play.
        fire: Whether to press FIRE.
    """

    def __init__(self, game: Game, noop_max: int, *, fire: bool) -> None:
        super().__init__(game)
        self._noop_max, self._fire = noop_max, fire

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Resets the game and plays the opening frames; the screen is the one before them."""
        from ale_py import Action

        screen, info = self.env.reset(seed=seed, options=options)
        console = _console(self)
        if self._fire:
            console.act(Action.FIRE)
        for _ in range(int(self.np_random.integers(self._noop_max + 1)) - self._fire):
            console.act(Action.NOOP)
            if console.game_over():
                console.reset_game()
        # AtariPreprocessing reads the console, not this screen.
        return screen, info | {"episode_frame_number": console.getEpisodeFrameNumber()}


class Opened(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Presses FIRE on the first ticks of a game as well, in case sticky actions swallowed it.

    Otherwise a greedy policy might wait for the ball for ever. The actions played on these ticks
    are not those that the policy chose.

    Args:
        game: A preprocessed game, whose steps are ticks.
        fire: The action to press.
        ticks: Number of ticks to press it.
    """

    def __init__(self, game: Game, fire: int, ticks: int) -> None:
        super().__init__(game)
        self._fire, self._ticks = fire, ticks
        self._left = ticks

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Resets the game; the next ``ticks`` steps press FIRE."""
        self._left = self._ticks
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Steps the game by the action, or by FIRE on its first ticks."""
        if self._left:
            self._left -= 1
            action = self._fire
        return self.env.step(action)


class LastFrame(AtariPreprocessing):
    """Observes only the last frame of a tick: ``max_frames = false``."""

    def _get_obs(self) -> Any:
        self.obs_buffer[1].fill(0)
        return super()._get_obs()  # type: ignore[no-untyped-call]


class Unstuck(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Gets a game going that stands still, as the early A3C implementations did.

    The action played then is not the one that the policy chose and the player records.

    Args:
        game: A game that observes one array.
        ticks: Ticks without any change that are allowed.
        fire: The action to press; a random one each time if None.
    """

    def __init__(self, game: Game, ticks: int, fire: int | None) -> None:
        super().__init__(game)
        self._ticks, self._fire = ticks, fire
        self._still = 0
        self._last: Array = np.empty(0, np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Resets the game and the count of ticks without a change."""
        seen, info = self.env.reset(seed=seed, options=options)
        self._still, self._last = 0, seen
        return seen, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Steps the game by the action, or by another while it stands still."""
        if self._still >= self._ticks:
            action = self._other_action()
        seen, reward, terminated, truncated, info = self.env.step(action)
        self._still = self._still + 1 if np.array_equal(seen, self._last) else 0
        self._last = seen
        return seen, reward, terminated, truncated, info

    def _other_action(self) -> int:
        if self._fire is not None:
            return self._fire
        actions = self.action_space
        assert isinstance(actions, gymnasium.spaces.Discrete)
        return int(self.np_random.integers(actions.n))


class Lives(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Ends the episode at a lost life; the next episode continues the same game.

    That episode begins with one tick of ``press``, whose score is added to the next tick's reward.
    A reset with a seed always begins a new game.

    Args:
        game: A preprocessed game, whose steps are ticks.
        press: The action of the tick after a lost life: FIRE or no-op.
        ends: False plays whole games: the tick of ``press`` replaces one of the policy's and has
            ``info["life_begun"]`` set; nothing else changes.
        ticks: Ticks of ``press`` after each lost life in whole games.
    """

    def __init__(self, game: Game, press: int, *, ends: bool, ticks: int = 1) -> None:
        super().__init__(game)
        self._press, self._ends, self._ticks = press, ends, ticks
        self._left = 0
        self._lives = 0
        self._goes_on = False
        self._held = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Continues the game after a lost life, or begins a new one."""
        goes_on = self._goes_on and self._ends and seed is None
        self._goes_on = False
        self._left = 0
        if goes_on:
            seen, reward, terminated, truncated, info = self.env.step(self._press)
            self._held = float(reward)
            self._lives = _console(self).lives()
            if not (terminated or truncated):
                return seen, info
        self._held = 0.0
        seen, info = self.env.reset(seed=seed, options=options)
        self._lives = _console(self).lives()
        return seen, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Steps the game; a lost life terminates the episode if ``ends``."""
        begins = self._goes_on and not self._ends
        self._left = self._ticks if begins else self._left
        if self._left:
            self._left -= 1
            action = self._press
        seen, reward, terminated, truncated, info = self.env.step(action)
        scored, self._held = float(reward) + self._held, 0.0
        lives = _console(self).lives()
        self._goes_on = 0 < lives < self._lives and not (terminated or truncated)
        self._lives = lives
        ended = terminated or (self._goes_on and self._ends)
        return seen, scored, ended, truncated, info | {"life_begun": begins}


def _console(game: Game) -> Any:
    return game.unwrapped.ale  # type: ignore[attr-defined]
