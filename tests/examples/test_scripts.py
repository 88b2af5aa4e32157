"""Example scripts that train by plain Keras: their parts, worked out by hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyqueue.datasets import Dataset

EXAMPLES = Path(__file__).parents[2] / "examples"


def script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_loss_of_fit_q_counts_only_the_action_that_was_taken() -> None:
    loss = script("fit_q").masked_huber
    target = np.array([[np.nan, 2.0], [1.0, np.nan]], np.float32)
    q = np.array([[5.0, 1.0], [4.0, 0.0]], np.float32)
    # 0.5·1², and 3 − 0.5.
    np.testing.assert_allclose(loss(target, q), [0.5, 2.5])


@pytest.mark.slow
def test_q_is_fitted_to_what_a_log_holds() -> None:
    """Two states that lead to each other, or end with a reward of 1: values worked out by hand."""
    module = script("fit_q")

    class Chain(Dataset):
        """State 0 –(1)→ state 1 –(1)→ the end, with 1; action 0 stays, for nothing."""

        @property
        def num_batches(self) -> int:
            return 60

        def __getitem__(self, index: int) -> Any:
            state, action = np.array([0, 0, 1, 1] * 16), np.array([0, 1, 0, 1] * 16)
            after = np.minimum(state + action, 1)
            ends = (state == 1) & (action == 1)
            return {
                "observations": np.eye(2, dtype=np.float32)[state],
                "actions": action,
                "returns": ends.astype(np.float32),
                "discounts": np.where(ends, 0.0, 0.5).astype(np.float32),
                "next_observations": np.eye(2, dtype=np.float32)[after],
            }

    network = module.fitted(Chain(), size=2, actions=2, rounds=6)

    # Q(1, ·) = 0.5·1, 1 and Q(0, ·) = 0.25, 0.5.
    found = np.asarray(network(np.eye(2, dtype=np.float32)))
    np.testing.assert_allclose(found, [[0.25, 0.5], [0.5, 1.0]], atol=0.05)


def test_clone_pong_sees_frames_as_channels() -> None:
    frames = np.zeros((3, 4, 84, 84), np.uint8)
    frames[:, 3, 5, 7] = 200
    seen, done = script("clone_pong").pair({"observations": frames, "actions": np.arange(3)})
    assert seen.shape == (3, 84, 84, 4)
    assert (seen[:, 5, 7] == [0, 0, 0, 200]).all()
    assert done.tolist() == [0, 1, 2]
