"""A run that an earlier version wrote: its policy loads and acts, and it is resumed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import tinyqueue
from tinyqueue.run.checkpoints import CheckpointReader

RUN = Path(__file__).parent / "older" / "cartpole-impala-0.1.0"
ENV_STEPS, UPDATES, LEARNING_RATE = 1970, 2, 0.0006


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(RUN, tmp_path / "run"))


def test_its_policy_acts_as_it_did(run: Path) -> None:
    learned = tinyqueue.load(run)

    returns = []
    environment = gymnasium.make("CartPole-v1")
    for seed in range(20):
        observation, _ = environment.reset(seed=seed)
        state, rewards, ended = None, 0.0, False
        while not ended:
            action, state = learned.act(observation, state)
            observation, reward, terminated, truncated, _ = environment.step(action)
            rewards, ended = rewards + float(reward), terminated or truncated
        returns.append(rewards)
    environment.close()

    # Its own evaluation: 51.2 on average of 100 games, from 35 to 91. At random it is 22.
    assert 40 < sum(returns) / len(returns) < 65


@pytest.mark.integration
def test_it_is_resumed_where_it_ended(run: Path) -> None:
    words = ["train", "--resume", str(run), "--serial", "--max-env-steps", str(ENV_STEPS + 10)]
    done = subprocess.run(
        [sys.executable, "-m", "tinyqueue.cli.main", *words, "--json"],
        cwd=run.parent,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["updates"] == UPDATES + 1
    before = CheckpointReader(RUN / "checkpoints").newest()
    after = CheckpointReader(run / "checkpoints").newest()
    assert before is not None
    assert after is not None
    assert (before.env_steps, before.updates) == (ENV_STEPS, UPDATES)
    assert after.state.keys() == before.state.keys()
    # The optimiser continues: a power is that of the step to come.
    for name, beta in (("beta1_power", 0.9), ("beta2_power", 0.999)):
        power = before.state[f"optimiser/{name}"]
        assert power == pytest.approx(beta ** (UPDATES + 1))
        assert after.state[f"optimiser/{name}"] == pytest.approx(beta * power)
    for name, values in before.state.items():
        if name.startswith("model/"):
            moved = np.abs(after.state[name] - values)
            assert 0 < moved.max() < 2 * LEARNING_RATE, name
