"""Action spaces beyond the usual."""

from gymnasium import spaces
from small import Small, register


class Words(Small):
    action_space = spaces.Text(8)


class Million(Small):
    action_space = spaces.Discrete(1_000_000)


class Sequences(Small):
    action_space = spaces.Sequence(spaces.Discrete(3))


class FromOne(Small):
    """Actions 1 to 3."""

    action_space = spaces.Discrete(3, start=1)

    def reward(self, action):
        if action not in (1, 2, 3):
            raise ValueError(f"no such action: {action}")
        return 1.0


register(Words, Million, Sequences, FromOne)
