"""Environments that are called otherwise, or answer with another number of things."""

import numpy as np
from small import Small, register


class OldReset(Small):
    def reset(self):
        self.t = 0
        return self.observe()


class OldStep(Small):
    def step(self, action):
        observation, reward, terminated, _, info = super().step(action)
        return observation, reward, terminated, info


class ThreeValues(Small):
    def step(self, action):
        return super().step(action)[:3]


class SixValues(Small):
    def step(self, action):
        return (*super().step(action), "spare")


class BareReset(Small):
    """Three numbers, so that they cannot be taken for an observation and an info either."""

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(3, np.float32)


class BareResetOfTwo(Small):
    """Two numbers, which can be taken for an observation and an info."""

    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)[0]


class NothingAtReset(Small):
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)


class NothingAtStep(Small):
    def step(self, action):
        super().step(action)


class InfoIsNone(Small):
    def step(self, action):
        return (*super().step(action)[:4], None)


class InfoIsList(Small):
    def step(self, action):
        return (*super().step(action)[:4], ["won"])


class WordForEnd(Small):
    """The end as a word: "no" is true in Python."""

    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, "yes" if terminated else "no", truncated, info


class ArrayForEnd(Small):
    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, np.array([terminated]), np.array(truncated), info


register(OldReset, OldStep, ThreeValues, SixValues, BareReset, BareResetOfTwo)
register(NothingAtReset, NothingAtStep, InfoIsNone, InfoIsList, WordForEnd, ArrayForEnd)
