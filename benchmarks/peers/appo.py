"""Measures Sample Factory's APPO on CartPole-v1 or Pong.

Runs in a separate virtual environment, which ../peers.py creates.

Pong has the wrappers, the network and the learning settings of the library's own Atari example.
Sampling is the same in both: asynchronous, with one epoch over batches of 1024 env steps, which
is a quarter of the example's training work per env step.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from importlib.metadata import version
from typing import Any

import gymnasium
from ale_py.registration import register_v0_v4_envs
from sample_factory.algo.runners.runner import AlgoObserver, Runner
from sample_factory.cfg.arguments import parse_full_cfg, parse_sf_args
from sample_factory.envs.env_utils import register_env
from sample_factory.train import make_runner
from sf_examples.atari.atari_params import atari_override_defaults
from sf_examples.atari.atari_utils import make_atari_env

CARTPOLE = "CartPole-v1"
PONG = "atari_pong"
"""The example's name for PongNoFrameskip-v4."""

SAMPLING = {
    "async_rl": True,
    "worker_num_splits": 2,
    "rollout": 32,
    "batch_size": 1024,
    "num_batches_per_epoch": 1,
    "num_epochs": 1,
    # Count env steps, not the frames that each of them skips.
    "summaries_use_frameskip": False,
}

# With the Gymnasium version that Sample Factory needs, ale-py does not register its games.
register_v0_v4_envs()


class Meter(AlgoObserver):
    """Counts the env steps trained on, from the learner's first update on."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.first: tuple[float, int] | None = None
        self.last: tuple[float, int] = (0.0, 0)

    def on_training_step(self, runner: Runner, training_iteration_since_resume: int) -> None:
        """Notes the clock and the env steps, and ends training in time."""
        if not runner.env_steps:
            return
        self.last = (time.monotonic(), runner.env_steps[0])
        if self.first is None:
            self.first = self.last
        elif self.last[0] - self.first[0] >= self.seconds:
            # Its own train_for_seconds is compared with a clock that is never advanced.
            runner.cfg.train_for_env_steps = 0


def make_environment(
    full_env_name: str, cfg: Any = None, env_config: Any = None, render_mode: str | None = None
) -> gymnasium.Env:
    """Sample Factory's own wrappers for Pong, a plain environment otherwise."""
    if full_env_name == PONG:
        return make_atari_env(full_env_name, cfg, env_config, render_mode)
    return gymnasium.make(full_env_name, render_mode=render_mode)


def configuration(environment: str, workers: int, envs: int, folder: str) -> Any:
    """Sample Factory's settings for this environment."""
    settings = {
        "algo": "APPO",
        "env": environment,
        "experiment": "benchmark",
        "train_dir": folder,
        "device": "cpu",
        "num_workers": workers,
        "num_envs_per_worker": envs,
        "use_rnn": False,
        "recurrence": 1,
        "train_for_env_steps": 10**9,
        "save_every_sec": 3600,
        **SAMPLING,
    }
    argv = [f"--{key}={value}" for key, value in settings.items()]
    if environment == CARTPOLE:
        argv += ["--encoder_mlp_layers", "64", "64"]
    parser, partial = parse_sf_args(argv=argv)
    if environment == PONG:
        atari_override_defaults(partial.env, parser)
    return parse_full_cfg(parser, argv=argv)


def train(configured: Any, seconds: float) -> tuple[Runner, Meter]:
    """Trains for ``seconds`` after the first update."""
    register_env(configured.env, make_environment)
    _, runner = make_runner(configured)
    meter = Meter(seconds)
    runner.register_observer(meter)
    runner.init()
    runner.run()
    return runner, meter


def main() -> None:
    """Prints the env steps per second as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environment", choices=[CARTPOLE, PONG], required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--envs", type=int, required=True, help="per worker")
    parser.add_argument("--seconds", type=float, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        configured = configuration(arguments.environment, arguments.workers, arguments.envs, folder)
        runner, meter = train(configured, arguments.seconds)
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
