"""Measures Sample Factory's APPO on CartPole-v1, in an environment of its own (../peers.py)."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from importlib.metadata import version
from typing import Any

import gymnasium
from sample_factory.algo.runners.runner import AlgoObserver, Runner
from sample_factory.cfg.arguments import parse_full_cfg, parse_sf_args
from sample_factory.envs.env_utils import register_env
from sample_factory.train import make_runner


class Meter(AlgoObserver):
    """Counts the env steps that the learner has trained on, from its first update on."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.first: tuple[float, int] | None = None
        self.last: tuple[float, int] = (0.0, 0)

    def on_training_step(self, runner: Runner, training_iteration_since_resume: int) -> None:
        if not runner.env_steps:
            return
        self.last = (time.monotonic(), runner.env_steps[0])
        if self.first is None:
            self.first = self.last
        elif self.last[0] - self.first[0] >= self.seconds:
            # Its own train_for_seconds is compared with a clock that nothing moves.
            runner.cfg.train_for_env_steps = 0


def make_environment(
    full_env_name: str, cfg: Any = None, env_config: Any = None, render_mode: str | None = None
) -> gymnasium.Env:
    return gymnasium.make(full_env_name, render_mode=render_mode)


def train(seconds: float, workers: int, envs: int, folder: str) -> tuple[Runner, Meter]:
    settings = {
        "algo": "APPO",
        "env": "CartPole-v1",
        "experiment": "cartpole",
        "train_dir": folder,
        "device": "cpu",
        "num_workers": workers,
        "num_envs_per_worker": envs,
        "use_rnn": False,
        "recurrence": 1,
        "rollout": 32,
        "batch_size": 1024,
        "num_epochs": 1,
        "train_for_env_steps": 10**9,
        "save_every_sec": 3600,
    }
    argv = [f"--{key}={value}" for key, value in settings.items()]
    argv += ["--encoder_mlp_layers", "64", "64"]
    register_env("CartPole-v1", make_environment)
    parser, _ = parse_sf_args(argv=argv)
    _, runner = make_runner(parse_full_cfg(parser, argv=argv))
    meter = Meter(seconds)
    runner.register_observer(meter)
    runner.init()
    runner.run()
    return runner, meter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--envs", type=int, required=True, help="per worker")
    parser.add_argument("--seconds", type=float, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runner, meter = train(arguments.seconds, arguments.workers, arguments.envs, folder)
    if meter.first is None or meter.last[0] - meter.first[0] < arguments.seconds:
        raise SystemExit("Sample Factory ended before the time was over; its log is above.")
    seconds, env_steps = (b - a for a, b in zip(meter.first, meter.last, strict=True))
    returns = runner.policy_avg_stats.get("reward", [[]])[0]
    packages = ("sample-factory", "torch", "gymnasium", "numpy")
    print(
        "\n"
        + json.dumps(
            {
                "env_steps_per_s": env_steps / seconds,
                "env_steps": env_steps,
                "seconds": seconds,
                "return_mean": float(sum(returns) / len(returns)) if returns else None,
                "versions": {name: version(name) for name in packages},
            }
        )
    )


if __name__ == "__main__":
    main()
