"""Measures Stable-Baselines3 on CartPole-v1 or Pong.

Runs in a separate virtual environment, which ../peers.py creates.

A2C and PPO have the settings that rl-baselines3-zoo publishes (with constant schedules in place of
linear ones, which does not change the speed). DQN has those for Atari, except for two that suit
10 M env steps and not a minute: it learns from env step 1,000 on instead of 100,000, and explores
from the start as little as the zoo does after the first tenth, because a random action costs no
inference. Pong is preprocessed by the library's own wrapper.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import ale_py
import gymnasium
import stable_baselines3
import torch
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_atari_env, make_vec_env
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecFrameStack

CARTPOLE = "CartPole-v1"
PONG = "PongNoFrameskip-v4"
"""The wrapper skips the frames. This id has no sticky actions, which would cost nothing."""

ALGORITHMS = {"a2c": A2C, "dqn": DQN, "ppo": PPO}
POLICIES = {CARTPOLE: "MlpPolicy", PONG: "CnnPolicy"}
SETTINGS: dict[tuple[str, str], dict[str, Any]] = {
    ("a2c", CARTPOLE): {},
    ("ppo", CARTPOLE): {
        "n_steps": 32,
        "batch_size": 256,
        "gae_lambda": 0.8,
        "gamma": 0.98,
        "n_epochs": 20,
        "learning_rate": 1e-3,
        "clip_range": 0.2,
    },
    ("a2c", PONG): {
        "ent_coef": 0.01,
        "vf_coef": 0.25,
        "policy_kwargs": {
            "optimizer_class": RMSpropTFLike,
            "optimizer_kwargs": {"eps": 1e-5},
        },
    },
    ("ppo", PONG): {
        "n_steps": 128,
        "batch_size": 256,
        "n_epochs": 4,
        "learning_rate": 2.5e-4,
        "clip_range": 0.1,
        "vf_coef": 0.5,
        "ent_coef": 0.01,
    },
    ("dqn", PONG): {
        "buffer_size": 100_000,
        "learning_rate": 1e-4,
        "batch_size": 32,
        "learning_starts": 1_000,
        "target_update_interval": 1_000,
        "train_freq": 4,
        "gradient_steps": 1,
        "exploration_initial_eps": 0.01,
        "exploration_final_eps": 0.01,
    },
}

gymnasium.register_envs(ale_py)


class Meter(BaseCallback):
    """Counts the env steps trained on, from the first update on, in whole updates."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.first: tuple[float, int] | None = None
        self.last: tuple[float, int] = (0.0, 0)

    def _on_rollout_start(self) -> None:
        # All env steps so far have been trained on, once there are enough for learning to start.
        if self.num_timesteps <= getattr(self.model, "learning_starts", 0):
            return
        self.last = (time.monotonic(), self.num_timesteps)
        if self.first is None:
            self.first = self.last

    def _on_step(self) -> bool:
        return self.first is None or self.last[0] - self.first[0] < self.seconds


def make_environment(name: str, envs: int, processes: bool) -> VecEnv:
    """The environment with the wrappers that Stable-Baselines3 recommends for it."""
    kind = SubprocVecEnv if processes else DummyVecEnv
    if name == PONG:
        return VecFrameStack(make_atari_env(name, n_envs=envs, vec_env_cls=kind), n_stack=4)
    return make_vec_env(name, n_envs=envs, vec_env_cls=kind)


def main() -> None:
    """Prints the env steps per second as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("algorithm", choices=sorted(ALGORITHMS))
    parser.add_argument("--environment", choices=sorted(POLICIES), required=True)
    parser.add_argument("--envs", type=int, required=True)
    parser.add_argument("--processes", action="store_true", help="one for each environment")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--seconds", type=float, required=True)
    arguments = parser.parse_args()
    name = arguments.environment
    if (arguments.algorithm, name) not in SETTINGS:
        parser.error(f"there are no settings of {arguments.algorithm} for {name}.")
    torch.set_num_threads(arguments.threads)
    environment = make_environment(name, arguments.envs, arguments.processes)
    model = ALGORITHMS[arguments.algorithm](
        POLICIES[name], environment, device="cpu", **SETTINGS[arguments.algorithm, name]
    )
    meter = Meter(arguments.seconds)
    model.learn(10**9, callback=meter)
    environment.close()
    if meter.first is None:
        raise SystemExit("Stable-Baselines3 ended before its first update.")
    seconds, env_steps = (b - a for a, b in zip(meter.first, meter.last, strict=True))
    returns = [episode["r"] for episode in model.ep_info_buffer or ()]
    print(
        json.dumps(
            {
                "env_steps_per_s": env_steps / seconds,
                "env_steps": env_steps,
                "seconds": seconds,
                "return_mean": sum(returns) / len(returns) if returns else None,
                "versions": {
                    "stable-baselines3": stable_baselines3.__version__,
                    "torch": torch.__version__,
                    "gymnasium": gymnasium.__version__,
                },
            }
        )
    )


if __name__ == "__main__":
    main()
