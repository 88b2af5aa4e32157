from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tinyqueue.data.spaces import Array, Leaf
from tinyqueue.policy.heads import Q_MAX, Q_TAKEN, Head, greedy_head, make_head

BY_SLOT = {"schedule": "by-slot"}


def head_with(config: Mapping[str, Any], n: int = 4, stage: str = "a") -> Head:
    return make_head("epsilon-greedy", config, {"": Leaf("uint8", (), n=n)}, stage=stage)


def constant(epsilon: float) -> dict[str, Any]:
    return {"schedule": "annealed", "start": epsilon, "end": epsilon, "steps": 1}


def play(head: Head, q: Array, ticks: int, env_steps: int = 0, seed: int = 1) -> Array:
    """Actions ``[T, B]``, where the network always says ``q``."""
    head.begin(ticks, len(q), np.random.default_rng(seed), env_steps)
    return np.stack([head.act(tick, {"q": q})[""] for tick in range(ticks)])


def test_each_slot_explores_as_often_as_its_header_says_by_chi_square() -> None:
    # Given two slots of which the best actions are 2 and 0
    head = head_with({"schedule": "by-slot", "base": 0.8, "power": 1.0})
    q = np.array([[0, 0, 1, 0], [5, 1, 2, 3]], np.float32)
    # When each acts 50,000 times
    actions = play(head, q, 50_000)
    # Then every action comes with ε/4, and the best with 1 − ε on top
    for slot, (best, epsilon) in enumerate(zip((2, 0), head.epsilons, strict=True)):
        shares = np.full(4, epsilon / 4)
        shares[best] += 1 - epsilon
        counts, expected = np.bincount(actions[:, slot], minlength=4), 50_000 * shares
        # 3 degrees of freedom, 0.999 quantile
        assert ((counts - expected) ** 2 / expected).sum() < 16.27


def test_slots_and_ticks_explore_independently() -> None:
    actions = play(head_with(constant(1.0), n=2), np.zeros((20, 2), np.float32), 2000)
    centred = actions.astype(float) - 0.5
    # Correlation of 2,000 fair draws has standard deviation 0.022.
    assert abs(np.corrcoef(centred.T) - np.eye(20)).max() < 0.1
    assert abs((centred[1:] * centred[:-1]).mean()) < 0.01


def test_without_exploration_the_first_of_the_largest_is_taken() -> None:
    q = np.array([[0, 3, 1, 3], [-4, -1, -2, -1]], np.float32)
    assert play(head_with(constant(0.0)), q, 3).tolist() == [[1, 1]] * 3


def test_q_of_the_chosen_and_of_the_best_action_are_recorded() -> None:
    head = head_with(constant(0.5))
    q = np.array([[0, 10, 20, 30], [7, -5, 6, -8]], np.float32)
    actions = play(head, q, 64)
    recorded = head.recorded()
    assert recorded.keys() == head.extras.keys() == {Q_TAKEN, Q_MAX}
    assert recorded[Q_TAKEN].dtype == recorded[Q_MAX].dtype == np.float32
    # Then Q(s, a) is that of the action played, also of an exploring one
    assert recorded[Q_MAX].tolist() == [[30, 7]] * 64
    assert recorded[Q_TAKEN][:, 0].tolist() == [10 * action for action in actions[:, 0]]
    assert recorded[Q_TAKEN][:, 1].tolist() == [q[1, action] for action in actions[:, 1]]
    assert len(set(actions[:, 0].tolist())) == 4


def test_a_reused_output_buffer_does_not_change_what_was_recorded() -> None:
    head = head_with(constant(0.0), n=2)
    head.begin(2, 1, np.random.default_rng(0), 0)
    buffer = np.array([[1, 2]], np.float32)
    head.act(0, {"q": buffer})
    buffer[:] = 4, 3
    head.act(1, {"q": buffer})
    first = head.recorded()
    assert first[Q_MAX].tolist() == [[2], [4]]
    play(head, np.array([[9, 9]], np.float32), 2)
    assert first[Q_MAX].tolist() == [[2], [4]]


def test_actions_of_the_last_batch_outlive_the_next_begin() -> None:
    head = head_with(constant(0.0), n=2)
    head.begin(1, 8, np.random.default_rng(0), 0)
    first = head.act(0, {"q": np.tile(np.array([0, 1], np.float32), (8, 1))})[""]
    play(head, np.tile(np.array([1, 0], np.float32), (8, 1)), 1)
    assert first.tolist() == [1] * 8


def test_the_clock_of_the_weights_decides_how_much_is_explored() -> None:
    head = head_with({"schedule": "annealed", "start": 1.0, "end": 0.2, "steps": 100})
    q = np.zeros((2, 4), np.float32)
    told = []
    for env_steps in (0, 50, 400, 50):
        play(head, q, 1, env_steps)
        told.append(head.epsilons)
    assert told == [pytest.approx((e, e)) for e in (1.0, 0.6, 0.2, 0.6)]


def test_the_same_generator_and_stage_play_the_same() -> None:
    q = np.random.default_rng(5).normal(size=(16, 4)).astype(np.float32)

    def actions(seed: int = 7, stage: str = "a") -> list[Any]:
        return play(head_with(BY_SLOT, stage=stage), q, 32, seed=seed).tolist()

    assert actions() == actions()
    assert actions() != actions(seed=8)
    assert actions() != actions(stage="b")


def test_joint_actions_are_ranked_and_tried_as_whole_actions() -> None:
    # Given 2 × 3 values, of which (1, 1) is best: the fifth of the joint actions
    space = {"keys": Leaf("uint8", (2,), n=3, nvec=(2, 3))}
    q = np.tile(np.array([0, 0, 0, 0, 9, 1], np.float32), (300, 1))
    for epsilon in (0.0, 1.0):
        head = make_head("epsilon-greedy", constant(epsilon), space)
        head.begin(1, 300, np.random.default_rng(1), 0)
        actions = head.act(0, {"q": q})["keys"]
        assert (actions.dtype, actions.shape) == (np.uint8, (300, 2))
        tried = set(map(tuple, actions.tolist()))
        every = {(a, b) for a in range(2) for b in range(3)}
        assert tried == ({(1, 1)} if epsilon == 0 else every)
        recorded = head.recorded()
        taken = q[0][actions[:, 0] * 3 + actions[:, 1]]
        assert recorded[Q_TAKEN].tolist() == [taken.tolist()]
        assert recorded[Q_MAX].tolist() == [[9.0] * 300]
    best = greedy_head("epsilon-greedy", space).act(0, {"q": q})["keys"]
    assert best.tolist() == [[1, 1]] * 300
