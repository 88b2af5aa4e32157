"""Action heads: choose actions from a network's outputs, and record the choice. NumPy only.

A head is created once per stage. ``begin`` is called before the first tick of a session batch and
draws all its noise at once; ``act`` is called at every tick, and ``recorded`` after the last one.
"""

from tinyqueue.policy.heads.categorical import Categorical
from tinyqueue.policy.heads.epsilon_greedy import Q_MAX, Q_TAKEN, EpsilonGreedy
from tinyqueue.policy.heads.greedy import Greedy, Mode
from tinyqueue.policy.heads.head import Head
from tinyqueue.policy.heads.registry import (
    HEADS,
    evaluation_head,
    greedy_head,
    has_probabilities,
    make_head,
    outputs_read,
)
from tinyqueue.policy.heads.sampling import ENTROPY, LOG_PROB, Sampling
from tinyqueue.policy.heads.uniform import Uniform

__all__ = [
    "ENTROPY",
    "HEADS",
    "LOG_PROB",
    "Q_MAX",
    "Q_TAKEN",
    "Categorical",
    "EpsilonGreedy",
    "Greedy",
    "Head",
    "Mode",
    "Sampling",
    "Uniform",
    "evaluation_head",
    "greedy_head",
    "has_probabilities",
    "make_head",
    "outputs_read",
]
