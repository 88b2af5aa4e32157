"""An environment that owns its clock: a dot flees along a line, and does not wait for an action.

The world runs in a process of its own at ``hz`` ticks per second, as a robot or a live game does.
At every tick it takes the newest action; if none answers the last observation it repeats the one
before and counts the tick as missed. Between two episodes the clock stands still.

Train it from the folder of this repository:

    PYTHONPATH=examples/environments TINYQUEUE_ENVIRONMENT_MODULES=chase \
        tinyqueue train Chase-v0 --set environment.realtime=true --set environment.tick_s=0.05
"""

from __future__ import annotations

import contextlib
import select
import subprocess
import sys
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

STEP = 0.02
"""How far the player moves in a tick, on a line from 0 to 1. The dot is half as fast."""


class World:
    """The player at ``at``, and a dot at ``dot`` that turns now and then.

    Args:
        pixels: Height and width of an image to observe; 0: observe both places and the dot's speed.
    """

    def __init__(self, pixels: int) -> None:
        self._pixels = pixels
        self.begin(0)

    def begin(self, seed: int) -> None:
        """Puts both somewhere."""
        self._rng = np.random.default_rng(seed)
        self.at, self.dot = self._rng.random(2)
        self.speed = STEP / 2

    def move(self, action: int) -> float:
        """Moves both; the reward is 1 where they meet and 0 at a tenth of the line or more."""
        self.at = min(1.0, max(0.0, self.at + STEP * (action - 1)))
        if self._rng.random() < 0.02 or not 0 <= self.dot + self.speed <= 1:
            self.speed = -self.speed
        self.dot = min(1.0, max(0.0, self.dot + self.speed))
        return max(0.0, 1.0 - 10.0 * float(abs(self.at - self.dot)))

    def seen(self) -> np.ndarray:
        """The observation."""
        if not self._pixels:
            return np.array([self.at, self.dot, self.speed / STEP], np.float32)
        image = np.zeros((self._pixels, self._pixels), np.uint8)
        half, last = self._pixels // 2, self._pixels - 1
        image[:half, round(self.dot * last)] = 255
        image[half:, round(self.at * last)] = 128
        return image


class Chase(gymnasium.Env[np.ndarray, np.int64]):
    """Follow the dot: left, stay, right.

    Args:
        hz: Ticks per second.
        ticks: Ticks of an episode.
        pixels: As for :class:`World`.
    """

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012  # as Gymnasium types it
    action_space = spaces.Discrete(3)

    def __init__(
        self, hz: float = 20.0, ticks: int = 200, pixels: int = 0, render_mode: str | None = None
    ) -> None:
        self.render_mode = render_mode
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": hz}
        self.observation_space = (
            spaces.Box(0, 255, (pixels, pixels), np.uint8)
            if pixels
            else spaces.Box(-1, 1, (3,), np.float32)
        )
        self._link, theirs = Pipe()
        with theirs:
            # It ends by itself when this end of the pipe is closed.
            self._clock = subprocess.Popen(
                [sys.executable, __file__, *map(str, (theirs.fileno(), hz, ticks, pixels))],
                pass_fds=[theirs.fileno()],
            )
        self._episode, self._tick, self._missed, self._reward = 0, 0, 0, 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts the clock of an episode."""
        super().reset(seed=seed)
        self._episode += 1
        self._tick, self._missed, self._reward = -1, 0, 0.0
        self._link.send((self._episode, -1, int(self.np_random.integers(2**31))))
        self._newest()
        return self._seen, {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Sends an action, and waits for the next tick; the reward is that of all ticks between."""
        missed, reward = self._missed, self._reward
        self._link.send((self._episode, self._tick, int(action)))
        is_over = self._newest()
        info = {"missed_ticks": self._missed - missed}
        return self._seen, self._reward - reward, False, is_over, info

    def render(self) -> np.ndarray:
        """The observation as an image, 84 pixels wide unless it is one already."""
        image = self._seen
        if image.ndim == 1:
            image = np.zeros((84, 84), np.uint8)
            image[:42, round(float(self._seen[1]) * 83)] = 255
            image[42:, round(float(self._seen[0]) * 83)] = 128
        return np.repeat(image[:, :, None], 3, axis=2)

    def close(self) -> None:
        """Ends the process of the clock."""
        self._link.close()
        self._clock.wait()

    def _newest(self) -> bool:
        """Waits for a tick after the last one, and takes the newest there is."""
        seen, is_over = self._tick, False
        while self._tick == seen or (not is_over and self._link.poll(0)):
            episode, tick, *rest = self._link.recv()
            if episode == self._episode:
                self._tick = tick
                self._missed, self._reward, is_over, self._seen = rest
        return is_over


class Clock:
    """Runs the world at its own pace, and talks to the environment over a link.

    Args:
        link: Gives ``(episode, tick, action)`` for the observation of that tick, or
            ``(episode, -1, seed)`` to begin one.
        hz, ticks, pixels: As for :class:`Chase`.
    """

    def __init__(self, link: Connection, hz: float, ticks: int, pixels: int) -> None:
        self._link, self._hz, self._ticks = link, hz, ticks
        self._world = World(pixels)
        self._request: tuple[int, int, int] | None = None
        self._answered, self._action = -1, 1

    def run(self) -> None:
        """Plays episodes until the other end of the link is closed, which raises EOFError."""
        while True:
            request = self._request or self._link.recv()
            self._request = None
            # Anything else is a late action of an episode that is over.
            if request[1] == -1:
                self._play(*request)

    def _play(self, episode: int, _: int, seed: int) -> None:
        self._world.begin(seed)
        self._answered, self._action = -1, 1
        missed, reward, due_s = 0, 0.0, time.monotonic()
        for tick in range(self._ticks + 1):
            is_over = tick == self._ticks
            # The world does not wait for anybody who does not listen, but for its end.
            if is_over or select.select([], [self._link], [], 0.0)[1]:
                self._link.send((episode, tick, missed, reward, is_over, self._world.seen()))
            if is_over:
                return
            due_s += 1 / self._hz
            self._listen(episode, due_s)
            if self._request is not None:
                return
            missed += self._answered < tick
            reward += self._world.move(self._action)

    def _listen(self, episode: int, until_s: float) -> None:
        """Takes actions until the tick is due, or another episode is asked for."""
        while self._link.poll(max(0.0, until_s - time.monotonic())):
            told = self._link.recv()
            if told[1] == -1:
                self._request = told
                return
            if told[0] == episode:
                _, self._answered, self._action = told
            if time.monotonic() >= until_s:
                return


gymnasium.register("Chase-v0", entry_point="chase:Chase")

if __name__ == "__main__":
    _fd, _hz, _ticks, _pixels = sys.argv[1:]
    # Until the environment is closed, or its process is gone.
    with contextlib.suppress(EOFError, OSError):
        Clock(Connection(int(_fd)), float(_hz), int(_ticks), int(_pixels)).run()
