"""An environment and its training in one file, without a main guard.

The count of levels is this file's own brake.
"""

import os
import sys

level = int(os.environ.get("CASE_LEVEL", "0"))
os.environ["CASE_LEVEL"] = str(level + 1)
if level >= 3:
    sys.exit("TOO DEEP: this file was run within itself three times")

import gymnasium  # noqa: E402
from gymnasium.envs.classic_control import CartPoleEnv  # noqa: E402

import tinyqueue  # noqa: E402

gymnasium.register("Mine-v0", entry_point=CartPoleEnv, max_episode_steps=200)
os.environ["TINYQUEUE_ENVIRONMENT_MODULES"] = "unguarded"
print(tinyqueue.train("Mine-v0", stop_at_return=1e9, max_env_steps=4000))
