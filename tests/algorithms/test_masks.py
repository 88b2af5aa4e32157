"""Action masks in updates: an action that is not valid has no probability and no value."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from stream_batches import ACTIONS, OBSERVATIONS, assert_equal, differ, random_batch

from tinyqueue.algorithms.dqn import Dqn, DqnConfig
from tinyqueue.algorithms.r2d2 import R2d2, R2d2Config
from tinyqueue.algorithms.registry import ALGORITHMS
from tinyqueue.data.masks import ACTION_MASK
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Leaf, Space
from tinyqueue.models.mlp import MlpConfig, build
from tinyqueue.policy.heads import LOG_PROB
from tinyqueue.replay.samples import SequenceSample, TransitionSample

STREAM = ["a3c", "impala", "ppo"]
ONE_STATE = {"": Leaf("uint8", (), n=2)}


def algorithm(name: str, mask_size: int = 3, **config: Any) -> Any:
    found = ALGORITHMS[name]
    checked = found.Config(**config)
    outputs = found.outputs(ACTIONS, checked)
    network = build(OBSERVATIONS, ACTIONS, outputs, MlpConfig(hidden=(8,)), 0)
    return found(checked, network, ACTIONS, mask_size)


def masked_batch() -> SessionBatch:
    """Two of three actions are valid, of which the untrained policy takes each as often."""
    batch = random_batch()
    mask = np.ones((*batch.observations[""].shape[:2], 3), bool)
    mask[..., 1] = False
    actions = np.where(batch.actions[""] == 1, 2, batch.actions[""]).astype(np.uint8)
    log_mu = np.full(batch.rewards.shape, np.log(1 / 2), np.float32)
    return replace(batch, actions={"": actions}, extras={LOG_PROB: log_mu, ACTION_MASK: mask})


@pytest.mark.parametrize("name", STREAM)
def test_probabilities_and_entropy_are_those_of_valid_actions(name: str) -> None:
    metrics = algorithm(name, learning_rate=0.0).update([masked_batch()], 0).metrics
    # At first the policy is almost uniform
    assert metrics["mean_rho"] == pytest.approx(1.0, abs=0.02)
    assert metrics["entropy"] == pytest.approx(np.log(2), abs=0.001)


@pytest.mark.parametrize("name", STREAM)
def test_no_gradient_reaches_the_logit_of_an_action_that_is_never_valid(name: str) -> None:
    trained = algorithm(name)
    before = trained.state()
    trained.update([masked_batch()], 0)
    moved = trained.state()["model/logits/bias"] - before["model/logits/bias"]
    assert moved[1] == 0
    assert (moved[[0, 2]] != 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", STREAM)
def test_a_mask_of_nothing_but_valid_actions_changes_nothing(name: str) -> None:
    batch = random_batch()
    mask = np.ones((*batch.observations[""].shape[:2], 3), bool)
    masked = replace(batch, extras={**batch.extras, ACTION_MASK: mask})
    one, two = algorithm(name, mask_size=0), algorithm(name)
    one.update([batch], 0)
    two.update([masked], 0)
    assert_equal(one.state(), two.state())
    assert differ(one.state(), algorithm(name).state())


def q_table(found: Any, config: Any, actions: Space, q: Array) -> Any:
    """Without hidden layers a network is a table of Q, here of two states."""
    network = build(ONE_STATE, actions, found.outputs(actions, config), MlpConfig(hidden=()), 0)
    trained = found(config, network, actions, sum(leaf.n for leaf in actions.values()))
    state = trained.state()
    state["model/q/kernel"] = state["target/q/kernel"] = q
    trained.restore(state)
    return trained


@pytest.mark.parametrize("double", [False, True])
def test_the_target_of_a_transition_is_the_best_valid_action(double: bool) -> None:
    # Q(1, ·) = 10, 20, 30; the best is not valid, and in the second item only the worst is
    q = np.array([[0, 0, 0], [10, 20, 30]], np.float32)
    actions = {"": Leaf("uint8", (), n=3)}
    trained = q_table(Dqn, DqnConfig(double=double, prioritised=True), actions, q)
    update = trained.update(transitions([[1, 1, 0], [1, 0, 0]], np.array([0, 0], np.uint8)), 0)
    assert update.priorities.tolist() == [20.0, 10.0]


def test_joint_actions_are_valid_where_all_of_their_entries_are() -> None:
    # Q(1, ·) of (0, 0), (0, 1), (1, 0), (1, 1); masks of the two entries side by side
    q = np.array([[0, 0, 0, 0], [1, 2, 3, 4]], np.float32)
    actions = {"": Leaf("uint8", (2,), n=2, nvec=(2, 2))}
    trained = q_table(Dqn, DqnConfig(prioritised=True), actions, q)
    sample = transitions([[1, 0, 1, 1], [1, 1, 1, 0]], np.array([[0, 0], [0, 0]], np.uint8))
    assert trained.update(sample, 0).priorities.tolist() == [2.0, 3.0]


def transitions(next_masks: list[list[int]], taken: Array) -> TransitionSample:
    """From state 0 to state 1, for a reward of 0."""
    rows = len(next_masks)
    masks = np.array(next_masks, bool)
    return TransitionSample(
        rows=np.arange(rows),
        births=np.zeros(rows, np.int64),
        observations={"": np.zeros(rows, np.uint8)},
        actions=taken,
        returns=np.zeros(rows, np.float32),
        discounts=np.ones(rows, np.float32),
        next_observations={"": np.ones(rows, np.uint8)},
        weights=np.ones(rows, np.float32),
        action_masks=np.ones_like(masks),
        next_action_masks=masks,
    )


@pytest.mark.parametrize("double", [False, True])
def test_the_targets_of_a_sequence_are_the_best_valid_actions(double: bool) -> None:
    config = R2d2Config(
        burn_in=1, unroll=2, n_step=1, gamma=1.0, rescaled=False, dueling=False, double=double
    )
    q = np.array([[0, 0, 0], [10, 20, 30]], np.float32)
    trained = q_table(R2d2, config, {"": Leaf("uint8", (), n=3)}, q)
    # Row 0 warms up; rows 2 and 3 are what ticks 1 and 2 lead to
    masks = np.array([[1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 0, 0]], bool)[:, None]
    ticks, rows = (3, 1), (4, 1)
    sample = SequenceSample(
        rows=np.zeros(1, np.int64),
        births=np.zeros(1, np.int64),
        observations={"": np.array([[0], [0], [1], [1]], np.uint8)},
        actions=np.zeros(ticks, np.uint8),
        rewards=np.zeros(ticks, np.float32),
        terminated=np.zeros(ticks, bool),
        mask=np.ones(ticks, bool),
        starts=np.zeros(rows, bool),
        previous_actions=np.zeros(rows, np.uint8),
        previous_rewards=np.zeros(rows, np.float32),
        state={},
        weights=np.ones(1, np.float32),
        action_masks=masks,
    )
    # (20 + 10) / 2
    assert trained.update(sample, 0).metrics["target_mean"] == pytest.approx(15.0)
