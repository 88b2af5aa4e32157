"""Packages with well-known environments: what to install, and which module registers them.

Gymnasium does not load packages' entry points, so a module has to be imported before its ids are
known. A command that a person types may import a module of this table by itself; a player imports
only what its own allow-list names, because ids reach it from the network.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class KnownPackage:
    """A package of environments.

    Attributes:
        ids: Pattern that its ids begin with, in any letter case.
        install: The requirement to give to pip.
        module: The module that registers the ids with Gymnasium; empty if none does.
    """

    ids: str
    install: str
    module: str

    @property
    def is_installed(self) -> bool:
        """Whether the module can be imported here; it is not imported."""
        top = self.module.partition(".")[0]
        found = sys.modules.get(top) or importlib.util.find_spec(top)
        # A folder of that name, such as one in the working folder, is no package.
        return getattr(found, "origin", getattr(found, "__file__", None)) is not None


_HIGHWAY = (
    "highway|highway-fast|merge|merge-generic|roundabout|roundabout-generic|intersection|"
    "intersection-multi-agent|exit|parking|parking-.*|racetrack|racetrack-.*|lane-keeping|two-way|"
    "u-turn"
)
_MUJOCO = (
    "Ant|HalfCheetah|Hopper|Humanoid|HumanoidStandup|InvertedPendulum|InvertedDoublePendulum|"
    "Pusher|Reacher|Swimmer|Walker2d"
)
_ROBOTICS = "Fetch|HandReach|HandManipulate|AdroitHand|AntMaze|PointMaze|FrankaKitchen"

KNOWN_PACKAGES = (
    KnownPackage("(MiniGrid|BabyAI)-", "minigrid", "minigrid"),
    KnownPackage("MiniWorld-", "miniworld", "miniworld"),
    KnownPackage("popgym-", "popgym", "popgym"),
    KnownPackage(f"({_HIGHWAY})-v[0-9]", "highway-env", "highway_env"),
    KnownPackage("FlappyBird-v", "flappy-bird-gymnasium", "flappy_bird_gymnasium"),
    KnownPackage("miniwob/", "miniwob", "miniwob"),
    KnownPackage("Vizdoom[A-Z]", "vizdoom", "vizdoom.gymnasium_wrapper"),
    KnownPackage("NetHack", "nle", "nle"),
    KnownPackage("MiniHack-", "minihack", "minihack"),
    KnownPackage("SuperMarioBros", "gym-super-mario-bros>=9", "gym_super_mario_bros"),
    KnownPackage("tetris_gymnasium/", "tetris-gymnasium", "tetris_gymnasium.envs"),
    KnownPackage("(forex|stocks)-v[0-9]", "gym-anytrading", "gym_anytrading"),
    KnownPackage("Crafter(Reward|NoReward)-", "crafter", ""),
    KnownPackage("procgen[-/]", "procgen", ""),
    KnownPackage("Craftax-", "craftax", ""),
    KnownPackage(f"({_MUJOCO})-v[0-9]", "gymnasium[mujoco]", "gymnasium"),
    KnownPackage(_ROBOTICS, "gymnasium-robotics", "gymnasium_robotics"),
    KnownPackage("dm_control/", "shimmy[dm-control]", "shimmy"),
    KnownPackage("Meta-World/", "metaworld", "metaworld"),
    KnownPackage("PyFlyt/", "pyflyt", "PyFlyt.gym_envs"),
    KnownPackage("Panda(Reach|Push|Slide|PickAndPlace|Stack|Flip)", "panda-gym", "panda_gym"),
    KnownPackage("gym_pusht/", "gym-pusht", "gym_pusht"),
)  # fmt: skip
"""The ids and modules of each were verified with a release of 2026, or read in its source."""


def known_package(environment_id: str) -> KnownPackage | None:
    """The package that an id belongs to, by its beginning; None if it is not known."""
    for package in KNOWN_PACKAGES:
        if re.match(package.ids, environment_id, re.IGNORECASE):
            return package
    return None


def modules_for(environment_id: str, modules: Iterable[str]) -> tuple[str, ...]:
    """The modules to import for an environment: those given, and that of its known package.

    Only for commands that a person types on this machine, never for an id from a message.
    """
    given = tuple(modules)
    package = known_package(environment_id)
    if package is None or not package.module or package.module in given:
        return given
    return (*given, package.module) if package.is_installed else given


def advice(environment_id: str, package: KnownPackage) -> str:
    """What to do for an environment of a known package that cannot be used now."""
    begins = f"the environment {environment_id} comes with the package"
    name = re.split(r"[\[>]", package.install)[0]
    if not package.module:
        return (
            f"{begins} {name}, which registers nothing with Gymnasium. Write a module that does, "
            "with gymnasium.register(...) and Gymnasium's API (reset(seed=…) returns two "
            "values, step five), and name it in TINYQUEUE_ENVIRONMENT_MODULES."
        )
    if package.is_installed:
        return (
            f"{begins} {name}, whose module is not named on this machine. Set "
            f"TINYQUEUE_ENVIRONMENT_MODULES={package.module} wherever it is played, trained or "
            f"evaluated: TINYQUEUE_ENVIRONMENT_MODULES={package.module} tinyqueue train "
            f"{environment_id}"
        )
    quoted = f'"{package.install}"' if name != package.install else name
    return (
        f"{begins} {name}, which is not installed here. Install it wherever it is played, trained "
        f"or evaluated: pip install {quoted}. Then: tinyqueue train {environment_id}. Workers that "
        f"you start yourself need TINYQUEUE_ENVIRONMENT_MODULES={package.module} too."
    )
