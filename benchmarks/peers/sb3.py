"""Measures Stable-Baselines3 on CartPole-v1. Runs in an environment of its own; see ../peers.py.

PPO has the settings that rl-baselines3-zoo publishes for CartPole-v1 (constant schedules in
place of its linear ones, which do not change the speed). A2C has the library's defaults,
which are also the zoo's, with the given number of environments.
"""

from __future__ import annotations

import argparse
import json
import time

import gymnasium
import stable_baselines3
import torch
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

PPO_OF_THE_ZOO = {
    "n_steps": 32,
    "batch_size": 256,
    "gae_lambda": 0.8,
    "gamma": 0.98,
    "n_epochs": 20,
    "learning_rate": 1e-3,
    "clip_range": 0.2,
}


class StopAfter(BaseCallback):
    """Ends training after so many seconds, not counting what came before its first step."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.began_s = 0.0

    def _on_training_start(self) -> None:
        self.began_s = time.monotonic()

    def _on_step(self) -> bool:
        return time.monotonic() - self.began_s < self.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("algorithm", choices=["a2c", "ppo"])
    parser.add_argument("--envs", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    arguments = parser.parse_args()
    # One thread beat two here for both algorithms: the networks are too small to share.
    torch.set_num_threads(1)
    environment = make_vec_env("CartPole-v1", n_envs=arguments.envs)
    if arguments.algorithm == "a2c":
        model = A2C("MlpPolicy", environment, device="cpu")
    else:
        model = PPO("MlpPolicy", environment, device="cpu", **PPO_OF_THE_ZOO)
    stop = StopAfter(arguments.seconds)
    model.learn(10**9, callback=stop)
    seconds = time.monotonic() - stop.began_s
    returns = [episode["r"] for episode in model.ep_info_buffer or ()]
    print(
        json.dumps(
            {
                "env_steps_per_s": model.num_timesteps / seconds,
                "env_steps": model.num_timesteps,
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
