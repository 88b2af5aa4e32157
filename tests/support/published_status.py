"""The status of a learner as ``tinyqueue info`` finds it in Redis."""

from __future__ import annotations

from typing import Any

from tinyqueue.ledger.marks import Count

STATUS: dict[str, Any] = {
    "environment": "CartPole-v1",
    "algorithm": "impala",
    "run": "e" * 32,
    "run_directory": "runs/pole/1",
    "written_s": 0.0,
    "players": 3,
    "env_steps": 123456,
    "env_steps_per_s": 5000.0,
    "updates": 100,
    "updates_per_s": 4.0,
    "episodes": 40,
    "return_mean": 21.25,
    "policy_lag_mean": 1.5,
    "queue_depth": 2,
    "remarks": ["the environment failed 1 times"],
    "count": Count(
        attempted=9, accepted=5, set_aside={"reward": 1}, dropped={"stale": 2}, missing=1
    ).document(),
}
