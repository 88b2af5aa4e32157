"""Observations that are not quite, or not at all, what the space says."""

import itertools

import numpy as np
from gymnasium import spaces
from small import Small, register

_BUILT = itertools.count()


class IntForByte(Small):
    observation_space = spaces.Box(0, 2, (9,), np.uint8)

    def observe(self):
        return np.array([0, 1, 2] * 3)


class FloatForDiscrete(Small):
    observation_space = spaces.Discrete(16)

    def observe(self):
        return (self.t % 16) / 1


class ListForArray(Small):
    def observe(self):
        return [0.5, 1]


class Objects(Small):
    def observe(self):
        return np.array([0.5, 1.0], dtype=object)


class SameArray(Small):
    """One array for all steps, as buffers of a simulator are."""

    def __init__(self):
        self.buffer = np.zeros(2, np.float32)

    def observe(self):
        self.buffer[0] = self.t / self.steps
        return self.buffer


class TooBigForByte(IntForByte):
    def observe(self):
        return np.array([0] * 8 + [300])


class Nothing(Small):
    def observe(self):
        return None if self.t == 3 else super().observe()


class ChangingShape(Small):
    def observe(self):
        return np.zeros(2 + (self.t == 3), np.float32)


class Holes(Small):
    def observe(self):
        return np.array([np.nan if self.t == 3 else 0, 1], np.float32)


class MissingKey(Small):
    observation_space = spaces.Dict(
        {"eye": spaces.Box(0, 1, (2,), np.float32), "ear": spaces.Box(0, 1, (1,), np.float32)}
    )

    def observe(self):
        heard = {"ear": np.zeros(1, np.float32)} if self.t != 3 else {}
        return {"eye": super().observe(), **heard}


class Nested(Small):
    observation_space = spaces.Dict(
        {
            "body": spaces.Dict(
                {"arm": spaces.Box(0, 1, (2,), np.float32), "hand": spaces.Discrete(3)}
            )
        }
    )

    def observe(self):
        return {"body": {"arm": super().observe(), "hand": self.t % 3}}


class EachItsOwn(Small):
    """The second instance sees more than the first."""

    def __init__(self):
        self.size = 2 + (next(_BUILT) % 2)
        self.observation_space = spaces.Box(0, 1, (self.size,), np.float32)

    def observe(self):
        return np.zeros(self.size, np.float32)


class Empty(Small):
    observation_space = spaces.Box(0, 1, (0,), np.float32)

    def observe(self):
        return np.zeros(0, np.float32)


class Big(Small):
    """A camera of 96 × 96 × 3 bytes: a batch of 32 × 32 of them has 29 MB."""

    observation_space = spaces.Box(0, 255, (96, 96, 3), np.uint8)
    picture = np.zeros((96, 96, 3), np.uint8)

    def observe(self):
        return self.picture


class Huge(Small):
    """One frame alone is more than a message takes."""

    observation_space = spaces.Box(0, 255, (2400, 2400, 3), np.uint8)
    picture = np.zeros((2400, 2400, 3), np.uint8)

    def observe(self):
        return self.picture


register(IntForByte, FloatForDiscrete, ListForArray, Objects, SameArray, TooBigForByte, Nothing)
register(ChangingShape, Holes, MissingKey, Nested, EachItsOwn, Empty, Big, Huge)
