"""Environments that raise, end their process, or hang."""

import ctypes
import os
import sys
import time

import gymnasium
import numpy as np
from small import Small, register

TEXT = "the hinge of arm 7 is stuck"


class Flaky(Small):
    """A simulator that loses its connection once in 4,000 steps."""

    steps = 100

    def __init__(self):
        self.dice = np.random.default_rng()

    def step(self, action):
        if self.dice.random() < 1 / 4000:
            raise ConnectionError("lost the connection to the simulator")
        return super().step(action)


class InInit(Small):
    def __init__(self):
        raise RuntimeError(TEXT)


class InReset(Small):
    def reset(self, *, seed=None, options=None):
        raise RuntimeError(TEXT)


class InStep(Small):
    def step(self, action):
        raise RuntimeError(TEXT)


class InLaterStep(Small):
    """Beyond what a trial of 50 steps sees."""

    taken = 0

    def step(self, action):
        self.taken += 1
        if self.taken > 200:
            raise RuntimeError(TEXT)
        return super().step(action)


class InClose(Small):
    def close(self):
        raise RuntimeError(TEXT)


class _Third(Small):
    """Does what it does in its third step, in every episode."""

    def step(self, action):
        if self.t == 2:
            self.fall()
        return super().step(action)


class SaysExit(_Third):
    def fall(self):
        sys.exit("no licence found")


class Exits(_Third):
    def fall(self):
        os._exit(7)


class Segfaults(_Third):
    def fall(self):
        ctypes.string_at(0)


class Hangs(_Third):
    def fall(self):
        while True:
            time.sleep(0.1)


class Interrupts(_Third):
    def fall(self):
        raise KeyboardInterrupt


class _Late(Small):
    """Does it after 300 steps, which no trial sees."""

    taken = 0

    def step(self, action):
        self.taken += 1
        if self.taken > 300:
            self.fall()
        return super().step(action)


class ExitsLate(_Late):
    def fall(self):
        os._exit(7)


class SaysExitLate(_Late):
    def fall(self):
        sys.exit("no licence found")


class HangsLate(_Late):
    def fall(self):
        while True:
            time.sleep(0.1)


register(Flaky, InInit, InReset, InStep, InLaterStep, InClose, SaysExit, Exits, Segfaults)
register(Hangs, Interrupts, ExitsLate, SaysExitLate, HangsLate)
gymnasium.register("NoSuchClass-v0", entry_point="falls:NotThere")
