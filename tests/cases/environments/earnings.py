"""Rewards that are not a finite number of a size that can be learned from."""

import numpy as np
from gymnasium import spaces
from small import Small, register


class RewardArray(Small):
    def reward(self, action):
        return np.array([float(action == 1)])


class RewardZeroRank(Small):
    def reward(self, action):
        return np.array(action == 1)


class RewardInt(Small):
    def reward(self, action):
        return np.int64(action)


class RewardNone(Small):
    def reward(self, action):
        return None if self.t == 3 else 1.0


class RewardWord(Small):
    def reward(self, action):
        return "one point"


class RewardComplex(Small):
    def reward(self, action):
        return 1 + 2j


class RewardPair(Small):
    def reward(self, action):
        return np.array([1.0, 2.0])


class RewardNan(Small):
    """0 / 0 at the end of each episode."""

    def reward(self, action):
        return float("nan") if self.t == self.steps else 1.0


class LateNan(Small):
    """The same, beyond what a trial of 50 steps sees."""

    steps = 150

    def reward(self, action):
        return float("nan") if self.t == self.steps else 1.0


class OnlyNan(Small):
    """Numbers for the first 3,000 steps of a process, then never again, however often made anew."""

    taken = 0

    def reward(self, action):
        OnlyNan.taken += 1
        return 1.0 if OnlyNan.taken <= 3000 else float("nan")


class Fined(Small):
    """Action 3 is against the rules. The best return is 20."""

    action_space = spaces.Discrete(4)
    fine = -1e9

    def reward(self, action):
        return self.fine if action == 3 else float(action == 1)


class Forbidden(Fined):
    fine = float("-inf")


class RarelyFined(Fined):
    """Action 3 earns 2, and once in a thousand times a fine: it is not worth it."""

    def reward(self, action):
        if action == 3:
            return -1e7 if self.np_random.random() < 0.001 else 2.0
        return float(action == 1)


register(RewardArray, RewardZeroRank, RewardInt, RewardNone, RewardWord, RewardComplex, RewardPair)
register(RewardNan, LateNan, OnlyNan, Fined, Forbidden, RarelyFined)
