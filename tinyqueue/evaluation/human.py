"""Human-normalised scores: how far between random play and a human tester a return is.

A game's pair is what Wang et al. 2016 ("Dueling Network Architectures", table 2) list: the mean
return of uniformly random actions, and of a professional tester with two hours of practice. They
were measured without sticky actions. To sum up several games, take the median or the interquartile
mean: a mean of these ratios is decided by the one or two games with the smallest human lead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class HumanReference:
    """Returns of one game, undiscounted and not clipped.

    Attributes:
        random: Of uniformly random actions.
        human: Of a professional human tester.
    """

    random: float
    human: float

    def normalised(self, score: float) -> float:
        """(score − random) / (human − random): 0 as random play, 1 as the human."""
        return (score - self.random) / (self.human - self.random)


SOURCE = "Wang et al. 2016"

PUBLISHED: Mapping[str, HumanReference] = {
    "BeamRider": HumanReference(363.9, 16926.5),
    "Boxing": HumanReference(0.1, 12.1),
    "Breakout": HumanReference(1.7, 30.5),
    "Freeway": HumanReference(0.0, 29.6),
    "MsPacman": HumanReference(307.3, 6951.6),
    "Pong": HumanReference(-20.7, 14.6),
    "Qbert": HumanReference(163.9, 13455.0),
    "Seaquest": HumanReference(68.4, 42054.7),
    "SpaceInvaders": HumanReference(148.0, 1668.7),
}
"""Pairs by the name of the game, as in ``ALE/<name>-v5``."""


def human_reference(environment_id: str) -> HumanReference | None:
    """The pair of an Atari game; None of another environment, or of a game without one here."""
    namespace, _, name = environment_id.partition("/")
    if namespace != "ALE":
        return None
    return PUBLISHED.get(name.rpartition("-v")[0])
