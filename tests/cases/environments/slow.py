"""Simulators that take their time, each in another place."""

import time

from small import Small, register


class SlowStep(Small):
    def step(self, action):
        time.sleep(0.04)
        return super().step(action)


class SlowReset(Small):
    def reset(self, *, seed=None, options=None):
        time.sleep(1.0)
        return super().reset(seed=seed)


class SlowLater(Small):
    """Fast for a hundred steps, as a world that fills up is."""

    taken = 0

    def step(self, action):
        self.taken += 1
        if self.taken > 100:
            time.sleep(0.2)
        return super().step(action)


class SlowBuild(Small):
    seconds = 1.2

    def __init__(self):
        time.sleep(self.seconds)


class VerySlowBuild(SlowBuild):
    seconds = 10.0


class Snail(Small):
    def step(self, action):
        time.sleep(3.0)
        return super().step(action)


register(SlowStep, SlowReset, SlowLater, SlowBuild, VerySlowBuild, Snail)
