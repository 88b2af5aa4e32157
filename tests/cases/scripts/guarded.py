"""An environment and its training in one file, as it should be."""

import os

import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv

import tinyqueue

gymnasium.register("Mine-v0", entry_point=CartPoleEnv, max_episode_steps=200)
if "CASE_UNNAMED" not in os.environ:
    os.environ["TINYQUEUE_ENVIRONMENT_MODULES"] = "guarded"

if __name__ == "__main__":
    print(tinyqueue.train("Mine-v0", stop_at_return=1e9, max_env_steps=4000))
