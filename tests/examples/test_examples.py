"""The files of examples/ do what their first lines say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyqueue.algorithms.registry import find
from tinyqueue.datasets import SessionLog
from tinyqueue.ledger.ledger import read_count

EXAMPLES = Path(__file__).parents[2] / "examples"
COMPONENTS = [
    path
    for path in sorted(EXAMPLES.glob("*.py"))
    if f"name=examples/{path.name}" in path.read_text()
]
"""Those that are named in a setting; the others are scripts."""
BALANCE = EXAMPLES / "policies" / "balance.py"


def run_as_told(path: Path, *words: str | Path) -> dict[str, Any]:
    """The result of the command in an example's first lines, with more words."""
    if "import torch" in path.read_text():
        pytest.importorskip("torch", reason="the example needs tinyqueue[torch]")
    (command,) = [line.split() for line in path.read_text().splitlines() if " tinyqueue " in line]
    done = subprocess.run(
        [sys.executable, "-m", "tinyqueue.cli.main", *command[1:], *words, "--json"],
        cwd=EXAMPLES.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.integration
@pytest.mark.parametrize("path", COMPONENTS, ids=lambda path: path.stem)
def test_an_example_trains_by_its_own_command(path: Path, tmp_path: Path) -> None:
    result = run_as_told(path, "--serial", "--max-env-steps", "3000", "--runs-dir", tmp_path)
    assert result["env_steps"] >= 3000


@pytest.mark.slow
def test_a_rule_plays_what_dqn_learns_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given its module on this machine's list; without it the run is refused at once."""
    words = ("--serial", "--max-env-steps", "1500", "--stop-at-return", "1000")
    monkeypatch.setenv("PYTHONPATH", str(BALANCE.parent), prepend=os.pathsep)
    with pytest.raises(AssertionError, match="TINYQUEUE_ENVIRONMENT_MODULES=balance"):
        run_as_told(BALANCE, *words, "--runs-dir", tmp_path)
    monkeypatch.setenv("TINYQUEUE_ENVIRONMENT_MODULES", "balance")

    result = run_as_told(BALANCE, *words, "--runs-dir", tmp_path)

    assert result["env_steps"] >= 1500


@pytest.mark.integration
def test_what_a_rule_plays_on_celery_players_is_a_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an embedded broker and a player: the network's policy has no part in the sessions."""
    words = ("--broker", "embedded", "--players", "1", "--stop-at-return", "1000")
    monkeypatch.setenv("PYTHONPATH", str(BALANCE.parent), prepend=os.pathsep)
    monkeypatch.setenv("TINYQUEUE_ENVIRONMENT_MODULES", "balance")

    result = run_as_told(BALANCE, *words, "--max-env-steps", "3000", "--runs-dir", tmp_path)

    log = SessionLog(result["run_directory"])
    batch = log[0]
    assert "extras" not in batch
    seen, acted = batch["observations"][:-1], batch["actions"]
    falls_right = seen[..., 2] + seen[..., 3] > 0
    assert 0.6 < (acted == falls_right).mean() < 0.9  # half of the actions are drawn
    pairs = log.transitions(64)[0]
    assert pairs["observations"].shape == (64, 4)
    assert pairs["actions"].shape == (64,)


@pytest.mark.integration
@pytest.mark.parametrize("path", COMPONENTS, ids=lambda path: path.stem)
def test_an_example_trains_on_what_celery_players_send(path: Path, tmp_path: Path) -> None:
    """Given an embedded broker and a player, as in the command itself."""
    words = ("--broker", "embedded", "--players", "1", "--max-env-steps", "20000")

    result = run_as_told(path, *words, "--runs-dir", tmp_path)

    assert result["env_steps"] >= 20_000
    count = read_count(Path(result["run_directory"]) / "sessions.db")
    assert count.accepted >= 19
    assert not count.set_aside


def test_returns_of_a2c_stop_at_ends_and_go_through_cuts() -> None:
    module = sys.modules[find(f"{EXAMPLES / 'a2c.py'}:A2c").__module__]
    # Slot 0 terminates at tick 1; slot 1 is cut off at tick 0, and its last observation is tick 1.
    rewards = np.array([[1, 1], [2, 0], [4, 4]], np.float32)
    values = np.array([[10, 20], [30, 40], [50, 60], [70, 80]], np.float32)
    terminated = np.array([[0, 0], [1, 0], [0, 0]], bool)
    valid = np.array([[1, 1], [1, 0], [1, 1]], bool)

    returns = module.returns_to_the_end(rewards, values, terminated, valid, 0.5)

    # 1 + 0.5·2, 2, 4 + 0.5·70; 1 + 0.5·40, V = 40, 4 + 0.5·80.
    np.testing.assert_allclose(returns, [[2, 21], [2, 40], [39, 44]])
    # λ = 0: 1 + 0.5·30, 2, 4 + 0.5·70; the same with one step.
    one_step = module.returns_to_the_end(rewards, values, terminated, valid, 0.5, 0.0)
    np.testing.assert_allclose(one_step, [[16, 21], [2, 40], [39, 44]])
