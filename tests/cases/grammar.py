"""A grammar of faults: environments that do one wrong thing, in one place, slot and step.

``sentence = kind × place × slot × moment``. :func:`grow` draws one, :func:`module_of` writes the
module that it stands for. The module notes each strike in a file beside it.
"""

from __future__ import annotations

import random
import textwrap
from dataclasses import dataclass

from kinds import FAMILIES, Kind, Place

SLOTS = {"each": "True", "one in four": "self.number % 4 == 3"}
MOMENTS = {
    "at once": "self.calls >= 1",
    "from the third": "self.calls >= 3",
    "from the 60th": "self.calls >= 60",
    "the third alone": "self.calls == 3",
    "one in 100": "dice.random() < 0.01",
}


@dataclass(frozen=True)
class Sentence:
    """One environment of the grammar.

    Attributes:
        kind: What it does.
        place: Where.
        slot: A key of SLOTS: which instances do it.
        moment: A key of MOMENTS: at which call of that place.
        steps: Length of its episodes.
    """

    kind: Kind
    place: Place
    slot: str
    moment: str
    steps: int

    def __str__(self) -> str:
        return f"{self.kind.name} in {self.place}, slot: {self.slot}, {self.moment}"

    @property
    def cannot_play(self) -> bool:
        """No instance gets through its third step, so it has to be refused."""
        always = self.slot == "each" and self.moment in ("at once", "from the third")
        early = self.place in ("import", "init") or (
            self.place == "reset" and "once" in self.moment
        )
        return self.kind.harms and always and (early or self.place == "step")


def grow(dice: random.Random) -> Sentence:
    """Draws an environment: the family of a kind first, so that none is rare."""
    kind = dice.choice(dice.choice(FAMILIES))
    place = dice.choice(kind.places)
    once = place in ("import", "init", "close")
    return Sentence(
        kind,
        place,
        "each" if place == "import" else dice.choice(list(SLOTS)),
        "at once" if once else dice.choice(list(MOMENTS)),
        dice.choice([5, 20, 150]),
    )


def module_of(sentence: Sentence, name: str) -> str:
    """The source of a module that registers ``<name>-v0``."""
    at = {place: _strike(sentence, place) for place in ("import", "init", "reset", "step", "close")}
    return _MODULE.format(
        **{f"at_{place}": textwrap.indent(code, "        ") for place, code in at.items()},
        at_top=sentence.kind.code if sentence.place == "import" else "",
        slot=SLOTS[sentence.slot],
        moment=MOMENTS[sentence.moment],
        steps=sentence.steps,
        sentence=str(sentence),
        name=name,
    )


def _strike(sentence: Sentence, place: str) -> str:
    if sentence.place != place:
        return "pass"
    return f"if self.strikes():\n{textwrap.indent(sentence.kind.code, '    ')}"


_MODULE = '''"""{sentence}."""

import ctypes
import itertools
import os
import random
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium import spaces

STRUCK = Path(__file__).with_name("struck.txt")
built = itertools.count()
dice = random.Random()
lock = threading.Lock()
lock.acquire()


class LostSimulator(Exception):
    """Cannot be pickled, for it holds a lock."""


def chain():
    try:
        raise OSError("the cable is out")
    except OSError as error:
        raise RuntimeError("the hinge of arm 7 is stuck") from error


def signals():
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            signal.signal(number, lambda *_: None)


{at_top}


class Grown(gymnasium.Env):
    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self):
        self.number = next(built)
        self.calls = 0
        self.taken = 0
{at_init}

    def strikes(self):
        self.calls += 1
        if not ({slot} and {moment}):
            return False
        with STRUCK.open("a") as file:
            file.write(f"{{time.time()}}\\n")
        return True

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        observation, info = np.zeros(2, np.float32), {{}}
{at_reset}
        return observation, info

    def step(self, action):
        self.t += 1
        self.taken += 1
        observation = np.array([self.t / {steps}, 1], np.float32)
        reward, terminated, truncated, info = float(action), self.t >= {steps}, False, {{}}
{at_step}
        return observation, reward, terminated, truncated, info

    def close(self):
{at_close}
        super().close()


gymnasium.register("{name}-v0", entry_point=Grown)
'''
