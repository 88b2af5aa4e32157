"""Given a worker and a real queue: in every kind of action space, what is seen is learned."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import any_actions
import pytest
from cluster import Cluster

import tinyqueue
from tinyqueue.local.redis_server import RedisServer
from tinyqueue.run.toml_text import toml_text

pytestmark = [pytest.mark.integration, pytest.mark.learning]

ALLOWED = {
    "PYTHONPATH": os.pathsep.join(
        filter(None, [str(Path(any_actions.__file__).parent), os.environ.get("PYTHONPATH", "")])
    ),
    "TINYQUEUE_ENVIRONMENT_MODULES": "any_actions",
}
PPO = {"name": "ppo", "learning_rate": 1e-3}
"""SB3-zoo's learning rate for CartPole-v1."""
IMPALA = {"learning_rate": 6e-4}
"""IMPALA's learning rate for Atari, as A3C's."""
MAX_ENV_STEPS = 60_000


@pytest.fixture(scope="module")
def one_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One worker on an embedded Redis, for run after run."""
    folder = tmp_path_factory.mktemp("embedded")
    with RedisServer(folder / "redis") as server:
        cluster = Cluster(server.broker_url, server.redis_url, folder / "cluster")
        cluster.worker(children=1, **ALLOWED)
        yield cluster
        cluster.stop()


@pytest.mark.parametrize(
    ("game", "level", "algorithm"),
    [
        # Of 16 at most. By chance: numbers 4.7, bits 8, reach 7.2, all 6.4, masked 8
        ("CopyNumbers", 14.0, PPO),
        ("CopyNumbers", 14.0, {"name": "dqn"}),
        ("CopyBits", 14.0, PPO),
        ("Reach", 12.5, PPO),
        ("CopyAll", 12.0, {"name": "impala"} | IMPALA),
        ("CopyAll", 12.0, {"name": "a3c"} | IMPALA),
        ("Masked", 15.0, PPO),
        ("Masked", 15.0, {"name": "dqn"}),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else str(value),
)
def test_it_learns(one_worker: Cluster, game: str, level: float, algorithm: dict[str, Any]) -> None:
    environment = {"action_mask": "allowed"} if game == "Masked" else {}
    outcome = train(one_worker, game, level, algorithm, environment=environment)

    assert outcome["ended"] == "solved", outcome
    assert outcome["fresh_mean"] >= 0.9 * level, outcome


@pytest.mark.parametrize("services", ["rabbitmq"], indirect=True)
def test_all_spaces_at_once_through_rabbitmq_and_back(cluster: Cluster) -> None:
    """With a memory that sees previous actions; then resumed, evaluated, and played by hand."""
    cluster.worker(children=1, **ALLOWED)
    # An action has no consequences here. With other discounts the value of the time that is left,
    # which cannot be seen, takes the torso that it shares with the policy: by chance at 60,000.
    algorithm, model = PPO | {"gamma": 0.0}, {"core": "gru", "previous": True}
    outcome = train(cluster, "CopyAll", 12.0, algorithm, model=model)
    assert outcome["ended"] == "solved", outcome

    run = cluster.run_path("copyall-ppo")
    steps = str(outcome["env_steps"] + 2_000)
    options = (str(run), "--stop-at-return", "17", "--max-env-steps", steps, "--json")
    resumed = cluster.learner(*options, target="--resume", **ALLOWED)
    assert resumed.wait() == 0, resumed.printed
    played = cluster.tinyqueue("evaluate", str(run), "-n", "100", "--json", **ALLOWED)
    assert played.returncode == 0, played.stderr
    assert json.loads(played.stdout)["mean"] > 11.0
    assert play_by_hand(run) > 11.0


def train(
    cluster: Cluster, game: str, level: float, algorithm: dict[str, Any], **sections: Any
) -> dict[str, Any]:
    """The outcome of a run that ends at this level, or a few seconds later without it."""
    document: dict[str, Any] = {
        **sections,
        "name": f"{game}-{algorithm['name']}".lower(),
        "environment": {"id": f"{game}-v0", **sections.get("environment", {})},
        "algorithm": algorithm,
        "evaluation": {"every_env_steps": 5_000},
        "stop": {"at_return": level, "max_env_steps": MAX_ENV_STEPS},
    }
    file = cluster.folder / f"{document['name']}.toml"
    file.write_text(toml_text(document))
    learner = cluster.learner("--json", target=str(file), **ALLOWED)
    assert learner.wait(timeout_s=120.0) == 0, learner.printed
    outcome: dict[str, Any] = json.loads(learner.printed.splitlines()[-1])
    return outcome


def play_by_hand(run: Path) -> float:
    """The return of one game, in which any action of another space raises."""
    learned, environment = tinyqueue.load(run), any_actions.CopyAll()
    observation, _ = environment.reset(seed=1)
    state, reward, total, is_over = None, 0.0, 0.0, False
    while not is_over:
        action, state = learned.act(observation, state, reward)
        observation, reward, _, is_over, _ = environment.step(action)
        total += reward
    return total
