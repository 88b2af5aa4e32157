"""Given action masks, no loss and no target knows of an action that was not valid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from stream_batches import ACTIONS, OBSERVATIONS, random_batch

from tinyqueue.algorithms.dqn import Dqn, DqnConfig
from tinyqueue.algorithms.impala import Impala, ImpalaConfig
from tinyqueue.algorithms.ppo import Ppo, PpoConfig
from tinyqueue.algorithms.r2d2 import R2d2, R2d2Config
from tinyqueue.algorithms.stream import StreamActorCritic
from tinyqueue.data.masks import ACTION_MASK
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Leaf
from tinyqueue.models.mlp import MlpConfig, build
from tinyqueue.policy.heads import LOG_PROB
from tinyqueue.replay.samples import SequenceSample, TransitionSample

STATES = {"": Leaf("uint8", (), n=2)}
MOVES = {"": Leaf("uint8", (), n=2)}
# Q of both actions in each state, of the online and of the target network.
ONLINE_Q, TARGET_Q = np.float32([[1, 2], [3, 5]]), np.float32([[10, 20], [40, 30]])


def masked(batch: SessionBatch, mask: np.ndarray) -> SessionBatch:
    return replace(batch, extras={**batch.extras, ACTION_MASK: mask})


@pytest.mark.parametrize(
    "make", [lambda *of: Impala(ImpalaConfig(), *of), lambda *of: Ppo(PpoConfig(), *of)]
)
def test_the_only_valid_action_is_certain(make: Callable[..., StreamActorCritic[Any]]) -> None:
    # Given rows in which nothing is valid but the action taken
    batch = random_batch(slots=8)
    only = batch.actions[""][..., None] == np.arange(3)
    rows = np.concatenate([only, np.ones((1, 8, 3), bool)])
    network = build(OBSERVATIONS, ACTIONS, Impala.outputs(ACTIONS, ImpalaConfig()), MlpConfig(), 0)
    algorithm = make(network, ACTIONS)
    algorithm.prepare(5, 8, mask_size=3)
    # When it is trained on
    metrics = algorithm.update([masked(batch, rows)], 0).metrics
    # Then π of it is 1
    assert metrics["entropy"] == pytest.approx(0.0, abs=1e-6)
    rhos = np.exp(-batch.extras[LOG_PROB])[batch.valid]
    assert metrics["mean_rho"] == pytest.approx(rhos.mean(), rel=0.02)


def table(kind: type[Dqn] | type[R2d2], config: Any) -> Any:
    """An algorithm whose network is ONLINE_Q, and whose target network is TARGET_Q."""
    network = build(STATES, MOVES, kind.outputs(MOVES, config), MlpConfig(hidden=()), 0)
    algorithm: Any = kind(config, network, MOVES)
    state = algorithm.state()
    state["model/q/kernel"], state["target/q/kernel"] = ONLINE_Q, TARGET_Q
    algorithm.restore(state)
    return algorithm


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize(("valid", "value"), [((True, False), 40.0), ((False, True), 30.0)])
def test_q_learning_values_the_best_valid_action(
    double: bool, valid: tuple[bool, bool], value: float
) -> None:
    algorithm = table(Dqn, DqnConfig(double=double, prioritised=True))
    algorithm.prepare(1, 1, mask_size=2)
    sample = TransitionSample(
        rows=np.array([0]),
        births=np.array([1]),
        observations={"": np.uint8([0])},
        actions=np.uint8([1]),
        returns=np.float32([1]),
        discounts=np.float32([0.5]),
        next_observations={"": np.uint8([1])},
        weights=np.float32([1]),
        action_masks=np.array([[True, True]]),
        next_action_masks=np.array([valid]),
    )
    # |R + D·V − Q(0, 1)|
    assert algorithm.update(sample, 0).priorities.tolist() == [1 + 0.5 * value - 2]


@pytest.mark.parametrize(("valid", "value"), [((True, False), 40.0), ((False, True), 30.0)])
def test_r2d2_values_the_best_valid_action(valid: tuple[bool, bool], value: float) -> None:
    config = R2d2Config(burn_in=0, unroll=1, n_step=1, gamma=0.5, rescaled=False, dueling=False)
    algorithm = table(R2d2, config)
    algorithm.prepare(1, 1, mask_size=2)
    sample = SequenceSample(
        rows=np.array([0]),
        births=np.array([1]),
        observations={"": np.uint8([[0], [1]])},
        actions=np.uint8([[1]]),
        rewards=np.float32([[1]]),
        terminated=np.array([[False]]),
        mask=np.array([[True]]),
        starts=np.zeros((2, 1), bool),
        previous_actions=np.zeros((2, 1), np.uint8),
        previous_rewards=np.zeros((2, 1), np.float32),
        state={},
        weights=np.float32([1]),
        action_masks=np.array([[[True, True]], [valid]]),
    )
    assert algorithm.update(sample, 0).metrics["target_mean"] == 1 + 0.5 * value
