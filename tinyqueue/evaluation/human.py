"""Human-normalised scores: where a return lies between random play and a human tester.

The pairs are from Wang et al. 2016 ("Dueling Network Architectures", table 2): the mean return of
uniformly random actions, and that of a professional tester with two hours of practice. They were
measured without sticky actions. To summarise several games, take the median or the interquartile
mean: a mean of these ratios is dominated by the one or two games with the smallest human lead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class HumanReference:
    """Mean returns of one game, undiscounted and not clipped.

    Attributes:
        random: Return of uniformly random actions.
        human: Return of a professional human tester.
    """

    random: float
    human: float

    def normalised(self, score: float) -> float:
        """(score − random) / (human − random): 0 for random play, 1 for the human."""
        return (score - self.random) / (self.human - self.random)


SOURCE = "Wang et al. 2016, without sticky actions"

PUBLISHED: Mapping[str, HumanReference] = {
    "Alien": HumanReference(227.8, 7127.7),
    "Amidar": HumanReference(5.8, 1719.5),
    "Assault": HumanReference(222.4, 742.0),
    "Asterix": HumanReference(210.0, 8503.3),
    "Asteroids": HumanReference(719.1, 47388.7),
    "Atlantis": HumanReference(12850.0, 29028.1),
    "BankHeist": HumanReference(14.2, 753.1),
    "BattleZone": HumanReference(2360.0, 37187.5),
    "BeamRider": HumanReference(363.9, 16926.5),
    "Berzerk": HumanReference(123.7, 2630.4),
    "Bowling": HumanReference(23.1, 160.7),
    "Boxing": HumanReference(0.1, 12.1),
    "Breakout": HumanReference(1.7, 30.5),
    "Centipede": HumanReference(2090.9, 12017.0),
    "ChopperCommand": HumanReference(811.0, 7387.8),
    "CrazyClimber": HumanReference(10780.5, 35829.4),
    "Defender": HumanReference(2874.5, 18688.9),
    "DemonAttack": HumanReference(152.1, 1971.0),
    "DoubleDunk": HumanReference(-18.6, -16.4),
    "Enduro": HumanReference(0.0, 860.5),
    "FishingDerby": HumanReference(-91.7, -38.7),
    "Freeway": HumanReference(0.0, 29.6),
    "Frostbite": HumanReference(65.2, 4334.7),
    "Gopher": HumanReference(257.6, 2412.5),
    "Gravitar": HumanReference(173.0, 3351.4),
    "Hero": HumanReference(1027.0, 30826.4),
    "IceHockey": HumanReference(-11.2, 0.9),
    "Jamesbond": HumanReference(29.0, 302.8),
    "Kangaroo": HumanReference(52.0, 3035.0),
    "Krull": HumanReference(1598.0, 2665.5),
    "KungFuMaster": HumanReference(258.5, 22736.3),
    "MontezumaRevenge": HumanReference(0.0, 4753.3),
    "MsPacman": HumanReference(307.3, 6951.6),
    "NameThisGame": HumanReference(2292.3, 8049.0),
    "Phoenix": HumanReference(761.4, 7242.6),
    "Pitfall": HumanReference(-229.4, 6463.7),
    "Pong": HumanReference(-20.7, 14.6),
    "PrivateEye": HumanReference(24.9, 69571.3),
    "Qbert": HumanReference(163.9, 13455.0),
    "Riverraid": HumanReference(1338.5, 17118.0),
    "RoadRunner": HumanReference(11.5, 7845.0),
    "Robotank": HumanReference(2.2, 11.9),
    "Seaquest": HumanReference(68.4, 42054.7),
    "Skiing": HumanReference(-17098.1, -4336.9),
    "Solaris": HumanReference(1236.3, 12326.7),
    "SpaceInvaders": HumanReference(148.0, 1668.7),
    "StarGunner": HumanReference(664.0, 10250.0),
    "Surround": HumanReference(-10.0, 6.5),
    "Tennis": HumanReference(-23.8, -8.3),
    "TimePilot": HumanReference(3568.0, 5229.2),
    "Tutankham": HumanReference(11.4, 167.6),
    "UpNDown": HumanReference(533.4, 11693.2),
    "Venture": HumanReference(0.0, 1187.5),
    "VideoPinball": HumanReference(16256.9, 17667.9),
    "WizardOfWor": HumanReference(563.5, 4756.5),
    "YarsRevenge": HumanReference(3092.9, 54576.9),
    "Zaxxon": HumanReference(32.5, 9173.3),
}
"""Pairs for the 57 games, by name as in ``ALE/<name>-v5``."""


def human_reference(environment_id: str) -> HumanReference | None:
    """The pair of an Atari game; None for other environments and games not listed here."""
    namespace, _, name = environment_id.partition("/")
    if namespace != "ALE":
        return None
    return PUBLISHED.get(name.rpartition("-v")[0])
