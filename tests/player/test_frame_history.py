"""Given a policy that sees several frames at once: what it is shown, and what a batch carries."""

import copy
from itertools import pairwise

import numpy as np
import pytest
from watching import Watcher

from tinyqueue.data.names import carried_frames
from tinyqueue.data.stacks import stack_rows, with_frames_before
from tinyqueue.experiment.environment import AtariConfig

BREAKOUT = AtariConfig(sticky=0, noop_max=3, life_loss=True, size=32)


def watched(played, batches, stage):
    """Batches, and the stacks ``[T, B, k, *frame]`` that were seen in each."""
    opened = stage(played)
    result = []
    for n in range(batches):
        watcher = Watcher(next(iter(played.actions.values())).n)
        batch = copy.deepcopy(opened.play(watcher, f"task-{n}"))
        paths = played.observations
        result.append((batch, {p: np.stack([seen[p] for seen in watcher.seen]) for p in paths}))
    opened.close()
    return result


def expected(rows, valid, stack):
    """Stacks of single frames ``[N, B, …]``, frame by frame as the definition says it."""
    result = np.empty((len(valid), rows.shape[1], stack, *rows.shape[2:]), rows.dtype)
    for slot in range(rows.shape[1]):
        first = 0
        for row in range(len(valid)):
            if row and not valid[row - 1, slot]:
                first = row
            for k in range(stack):
                result[row, slot, k] = rows[max(row - (stack - 1 - k), first), slot]
    return result


GAMES = [
    ("Countdown-v0", {"kwargs": {"length": 3}}, 5, 4),
    ("Countdown-v0", {"kwargs": {"length": 5}}, 2, 4),
    ("Countdown-v0", {"kwargs": {"length": 1}}, 7, 3),
    ("CartPole-v1", {"max_episode_steps": 4}, 8, 2),
    ("Rooms-v0", {"max_episode_steps": 6}, 4, 5),
    ("ALE/Breakout-v5", {"atari": BREAKOUT}, 40, 4),
    ("ALE/Breakout-v5", {"atari": BREAKOUT, "max_episode_steps": 9}, 6, 4),
]
"""Id, environment, ticks of a batch, stack: ends by termination, truncation and lost lives."""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "environment", "ticks", "stack"), GAMES)
def test_a_policy_sees_the_last_frames_of_its_own_episode(
    spec, stage, name, environment, ticks, stack
):
    if name.startswith("ALE/"):
        pytest.importorskip("ale_py")
    played = spec(name, ticks=ticks, slots=2, stack=stack, **environment)

    batches = watched(played, 7, stage)

    valid = np.concatenate([batch.valid for batch, _ in batches])
    assert not valid.all()
    for path in played.observations:
        rows = np.concatenate([batch.observations[path][:-1] for batch, _ in batches])
        seen = np.concatenate([stacks[path] for _, stacks in batches])
        assert np.array_equal(seen, expected(rows, valid, stack))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "environment", "ticks", "stack"), GAMES)
def test_a_learner_builds_the_same_stacks_from_each_batch_alone(
    spec, stage, name, environment, ticks, stack
):
    if name.startswith("ALE/"):
        pytest.importorskip("ale_py")
    played = spec(name, ticks=ticks, slots=2, stack=stack, **environment)

    for batch, seen in watched(played, 7, stage):
        rows = stack_rows(batch, stack)[:-1]
        for path in played.observations:
            frames = with_frames_before(batch, path)
            built = frames[rows, np.arange(2)[:, None]]
            # At an invalid tick 0 nothing is learned, and the age of its row did not travel.
            known = np.ones((ticks, 2), bool)
            known[0] = batch.valid[0]
            assert np.array_equal(built[known], seen[path][known])


def test_the_carried_frames_go_on_from_batch_to_batch(spec, stage):
    played = spec("CartPole-v1", ticks=5, slots=3, stack=4)

    batches = [batch for batch, _ in watched(played, 4, stage)]

    for before, after in pairwise(batches):
        carried = after.carry[carried_frames("")]
        assert carried.shape == (3, 3, 4)
        assert np.array_equal(carried.swapaxes(0, 1), before.observations[""][-4:-1])
        assert np.array_equal(after.observations[""][0], before.observations[""][-1])


def test_a_batch_of_single_frames_carries_none(spec, batches):
    (batch,) = batches(spec("CartPole-v1", ticks=4, slots=2), 1)
    assert not [name for name in batch.carry if name.startswith("frames")]
