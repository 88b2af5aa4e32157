"""The contestants of peers.py, with their settings and requirements."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
OURS = "tinyqueue impala"

# torch is pinned because a range installs a build with gigabytes of GPU packages. Sample Factory
# comes with its own OpenCV.
TORCH, ALE = "torch==2.13.0", "ale-py==0.12.1"
SB3 = (TORCH, "stable-baselines3==2.9.0", ALE, "opencv-python-headless==5.0.0.93")
SAMPLE_FACTORY = (TORCH, "sample-factory==2.1.1", "gymnasium<1.0", ALE)


@dataclass
class Contestant:
    """One library with one configuration.

    Attributes:
        name: Name in the table.
        settings: What a reader must know to judge the figure.
        environment: Folder of its virtual environment below the cache; empty for this interpreter.
        requirements: Packages to install there.
        command: Script and arguments; ``--seconds`` is added.
        runs: Env steps per second of each run so far.
        failed: Why there is no figure; empty if there is one.
        details: The full result of the last run.
    """

    name: str
    settings: str
    environment: str
    requirements: tuple[str, ...]
    command: tuple[str, ...]
    runs: list[float] = field(default_factory=list)
    failed: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def median(self) -> float | None:
        """Median of its runs; None if it failed or has none."""
        return None if self.failed or not self.runs else statistics.median(self.runs)


def cartpole() -> list[Contestant]:
    """The contestants on CartPole-v1."""
    game = "CartPole-v1"
    return [
        _ours(OURS, "preset, 2 player processes, RabbitMQ", "cartpole"),
        _sb3("SB3 A2C", "8 envs", "a2c", game, 8),
        _sb3("SB3 A2C, wide", "64 envs", "a2c", game, 64),
        _sb3("SB3 PPO", "8 envs, zoo settings", "ppo", game, 8),
        _appo("Sample Factory APPO", "2 workers × 8 envs", game, 8),
        _appo("Sample Factory APPO, wide", "2 workers × 64 envs", game, 64),
    ]


def pong() -> list[Contestant]:
    """The contestants on Pong: 84×84 grey, stack 4, skip 4, no-op 30; all but one with Nature."""
    game = "PongNoFrameskip-v4"
    ours = "2 player processes × 16 envs, RabbitMQ"
    # Games and torch may use both cores. Without --processes, sb3.py uses DummyVecEnv.
    threads = ("--threads", "2")
    how, both = "zoo settings, SubprocVecEnv, 2 torch threads", ("--processes", *threads)
    dqn = "zoo settings with the last ε, 2 torch threads"
    return [
        _ours(OURS, ours, "pong"),
        _ours(f"{OURS}, shallow", ours, "pong", "--set", "model.name=shallow"),
        _sb3("SB3 A2C", f"16 envs, {how}", "a2c", game, 16, *both),
        _sb3("SB3 PPO", f"8 envs × 128, {how}", "ppo", game, 8, *both),
        _sb3("SB3 DQN", f"1 env, {dqn}", "dqn", game, 1, *threads),
        _appo("Sample Factory APPO", "2 workers × 8 envs", "atari_pong", 8),
    ]


def _ours(name: str, settings: str, work: str, *more: str) -> Contestant:
    command = (str(HERE / "throughput.py"), work, "--json", *more)
    return Contestant(name, settings, "", (), command)


def _sb3(name: str, settings: str, algorithm: str, game: str, envs: int, *more: str) -> Contestant:
    script = str(HERE / "peers" / "sb3.py")
    command = (script, algorithm, "--environment", game, "--envs", str(envs), *more)
    return Contestant(name, settings, "sb3", SB3, command)


def _appo(name: str, settings: str, game: str, envs: int) -> Contestant:
    script = str(HERE / "peers" / "appo.py")
    command = (script, "--environment", game, "--workers", "2", "--envs", str(envs))
    return Contestant(name, settings, "sample-factory", SAMPLE_FACTORY, command)


WORKS: dict[str, Callable[[], list[Contestant]]] = {"cartpole": cartpole, "pong": pong}
SECONDS = {"cartpole": 20.0, "pong": 60.0}
"""Default duration of a measurement."""
