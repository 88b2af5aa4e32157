"""Episodes that never end, or end at once."""

import numpy as np
from gymnasium import spaces
from small import Small, register


class Stay(Small):
    """No limit of time: action 1 stays and earns 1 for ever, action 0 ends the episode."""

    def step(self, action):
        self.t = (self.t + 1) % self.steps
        return self.observe(), 1.0, bool(action == 0), False, {}


class NeverEnds(Small):
    def step(self, action):
        self.t = (self.t + 1) % self.steps
        return self.observe(), 0.0, False, False, {}


class OneStep(Small):
    steps = 1


class OneTick(Small):
    """Cut off by Gymnasium after one step."""

    observation_space = spaces.Box(0, 1, (2,), np.float32)


register(Stay, NeverEnds, OneStep)
register(OneTick, max_episode_steps=1)
