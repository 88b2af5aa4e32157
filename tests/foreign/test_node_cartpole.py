"""The JavaScript player's CartPole moves as Gymnasium's does, and it names no registry."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "players" / "node"

SCRIPT = """
import { CartPole } from "./cartpole.mjs";
const cart = new CartPole();
const [state, actions] = JSON.parse(process.argv[1]);
cart.reset(state);
const rows = actions.map((action) => ({ ...cart.step(action), state: cart.state }));
console.log(JSON.stringify(rows));
"""


def played(state: list[float], actions: list[int]) -> list[dict[str, Any]]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    command = [node, "--input-type=module", "--eval", SCRIPT, json.dumps([state, actions])]
    done = subprocess.run(command, cwd=EXAMPLE, capture_output=True, text=True, check=True)
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def test_it_moves_and_ends_as_gymnasiums() -> None:
    environment = gymnasium.make("CartPole-v1")
    rng = np.random.default_rng(3)
    lengths = []
    for _ in range(3):
        environment.reset(seed=int(rng.integers(1000)))
        state = environment.unwrapped.state.tolist()  # type: ignore[attr-defined]
        actions = rng.integers(2, size=200).tolist()

        for tick, row in enumerate(played(state, actions)):
            seen, reward, terminated, truncated, _ = environment.step(actions[tick])
            np.testing.assert_allclose(row["state"], seen, rtol=1e-6, atol=1e-7)
            ends = (row["reward"], row["terminated"], row["truncated"])
            assert ends == (reward, terminated, truncated)
            if terminated:
                lengths.append(tick)
                break
    assert len(lengths) == 3


def test_it_is_cut_off_at_the_500th_step() -> None:
    # Balanced by the sign of angle plus angular speed, from the state of rest at an angle.
    state, actions = [0.0, 0.0, 0.01, 0.0], []
    environment = gymnasium.make("CartPole-v1")
    environment.reset()
    environment.unwrapped.state = np.array(state)  # type: ignore[attr-defined]
    seen = np.array(state)
    for _ in range(500):
        actions.append(int(seen[2] + seen[3] > 0))
        seen, _, terminated, truncated, _ = environment.step(actions[-1])
    assert truncated
    assert not terminated

    rows = played(state, actions)

    assert [row["truncated"] for row in rows] == [False] * 499 + [True]


def test_versions_are_exact_and_no_registry_is_named() -> None:
    package = json.loads((EXAMPLE / "package.json").read_text())
    locked = json.loads((EXAMPLE / "package-lock.json").read_text())["packages"]

    for name, version in package["dependencies"].items():
        assert locked[f"node_modules/{name}"]["version"] == version
    for name, entry in locked.items():
        assert "resolved" not in entry, name
        assert not name or entry["integrity"]
