"""What a run has learned, for a program that has no TensorFlow."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from balancing import BALANCES, FALLS, checkpoint, trained_run
from memory_graphs import alternating_graph, summing_graph
from watching import Watcher

import tinyqueue
from tinyqueue.errors import CheckpointError, EnvironmentMismatchError
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.learned import by_path, load_each

PLAYS = """
import json, sys
import gymnasium, tinyqueue

learned = tinyqueue.load(sys.argv[1])
environment = gymnasium.make("CartPole-v1")
observation, _ = environment.reset(seed=1)
state, steps, over = None, 0, False
while not over:
    action, state = learned.act(observation, state)
    observation, _, terminated, truncated, _ = environment.step(action)
    steps, over = steps + 1, terminated or truncated
print(json.dumps([steps, sorted({"tensorflow", "keras", "celery"} & set(sys.modules))]))
"""


@pytest.mark.integration
def test_a_program_plays_a_game_without_tensorflow(tmp_path):
    run = trained_run(tmp_path)

    done = subprocess.run(
        [sys.executable, "-c", PLAYS, run], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [500, []]


def test_the_newest_checkpoint_is_played_and_others_on_request(tmp_path):
    run = trained_run(
        tmp_path, checkpoint(1000, BALANCES, score=480.0), checkpoint(2000, FALLS, score=9.0)
    )
    falling = np.array([0.0, 0.0, 0.1, 0.5], np.float32)

    newest = tinyqueue.load(run)
    best = tinyqueue.load(run, best=True)
    given = tinyqueue.load(run, checkpoint=run / "checkpoints" / "000000001000")
    named = tinyqueue.load(run, checkpoint=Path("000000001000"))

    assert (newest.env_steps, newest.version) == (2000, 20)
    assert (best.env_steps, given.env_steps, named.env_steps) == (1000, 1000, 1000)
    assert [learned.act(falling)[0] for learned in (newest, best, given)] == [0, 1, 1]


def test_an_observation_may_be_named_or_not_and_of_any_float(tmp_path):
    learned = tinyqueue.load(trained_run(tmp_path))
    falling_left = np.array([0.0, 0.0, -0.1, -0.5])

    assert learned.act(falling_left) == learned.act({"": falling_left.tolist()}) == (0, {})


def test_a_policy_that_sees_its_previous_action_and_reward_remembers_them(tmp_path):
    # Given one that takes the other action each time, and 1 once a reward was large
    weights = {"w": np.full(1, 1 / 1024, np.float32)}
    graph = alternating_graph()
    of_run = replace(checkpoint(1000, BALANCES), graph=graph, weights=weights)
    learned = tinyqueue.load(trained_run(tmp_path, of_run))
    observation, actions, state = np.zeros(4), [], None

    for reward in (-1000.0, 1.0, 1.0, 1000.0):
        action, state = learned.act(observation, state, reward)
        actions.append(action)

    # Then the reward before an episode's first observation is not looked at
    assert actions == [1, 0, 1, 1]
    assert state is not None
    assert state["previous:action"].tolist() == [1]
    assert learned.act(observation)[0] == 1


def test_a_recurrent_policy_goes_on_from_the_state_that_it_returned(tmp_path):
    counting = {"w": np.ones((4, 2), np.float32)}
    of_run = replace(checkpoint(1000, BALANCES), graph=summing_graph(), weights=counting)
    learned = tinyqueue.load(trained_run(tmp_path, of_run))

    _, first = learned.act(np.ones(4))
    _, second = learned.act(np.ones(4), first)

    assert [first["n"].tolist(), second["n"].tolist()] == [[[4.0, 4.0]], [[8.0, 8.0]]]


@pytest.mark.parametrize(
    ("observation", "paths"),
    [
        ((15, 10, 0), {"0": 15, "1": 10, "2": 0}),
        (
            {"arm": {"angle": 1.0}, "hands": (2, {"ace": 3})},
            {"arm/angle": 1.0, "hands/0": 2, "hands/1/ace": 3},
        ),
        ({"arm/angle": 1.0}, {"arm/angle": 1.0}),
        (7, {"": 7}),
    ],
)
def test_an_observation_is_taken_as_its_space_has_it_or_by_path(observation, paths):
    assert dict(by_path(observation)) == paths


def test_an_observation_that_lacks_a_part_is_told_which(tmp_path):
    learned = tinyqueue.load(trained_run(tmp_path))
    with pytest.raises(EnvironmentMismatchError, match=r"'plain array'.*'image', 'mission'"):
        learned.act({"image": np.zeros(4), "mission": "go"})


def test_a_run_without_a_checkpoint_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no checkpoint.*runs/<experiment>/<number>"):
        tinyqueue.load(tmp_path / "nowhere")

    run = trained_run(tmp_path)
    with pytest.raises(CheckpointError, match="holds no evaluated checkpoint"):
        tinyqueue.load(run, best=True)


def test_a_checkpoint_that_is_not_of_the_run_is_an_error(tmp_path):
    run = trained_run(tmp_path / "mine", checkpoint(1000, BALANCES))
    other = trained_run(tmp_path / "other", checkpoint(1000, FALLS))

    for path in (Path("7"), run / "checkpoints" / "7", other / "checkpoints" / "000000001000"):
        with pytest.raises(CheckpointError, match="kept checkpoints: 000000001000") as raised:
            tinyqueue.load(run, checkpoint=path)
        assert str(raised.value).startswith(f"{path} is not in {run / 'checkpoints'}")


def test_a_version_is_found_beside_a_damaged_checkpoint(tmp_path):
    run = trained_run(tmp_path, checkpoint(1000, BALANCES), checkpoint(2000, FALLS))
    (run / "checkpoints" / "000000001000" / "state.bin").write_bytes(b"torn")

    assert tinyqueue.load(run, version=20).env_steps == 2000
    with pytest.raises(CheckpointError, match=r"state\.bin"):
        tinyqueue.load(run, version=10)
    with pytest.raises(CheckpointError, match="kept versions: 10, 20"):
        tinyqueue.load(run, version=15)


def test_checkpoints_with_different_weights_are_all_played_though_they_share_a_version(tmp_path):
    # Given two that were saved between one published version and the next
    first = checkpoint(1000, BALANCES)
    later = replace(first, env_steps=2000, updates=first.updates + 1)
    again = replace(later, env_steps=3000)
    run = trained_run(tmp_path, first, later, again)

    played = [learned.env_steps for learned in load_each(run, pytest.fail)]

    assert played == [1000, 2000]


def test_the_package_offers_exactly_what_it_says():
    assert tinyqueue.__all__ == ["Learned", "load", "train"]
    assert all(callable(getattr(tinyqueue, name)) for name in tinyqueue.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lead'"):
        tinyqueue.lead  # noqa: B018


def test_a_space_of_gymnasium_takes_the_action(tmp_path):
    learned = tinyqueue.load(trained_run(tmp_path))
    environment = gymnasium.make("CartPole-v1")

    action, _ = learned.act(environment.reset(seed=3)[0])

    assert environment.action_space.contains(action)


def test_each_kept_checkpoint_comes_from_the_oldest_to_the_newest(tmp_path):
    # Given three, of which one is torn, and one more with the weights of the last
    kept = [checkpoint(steps, BALANCES) for steps in (3000, 1000, 2000, 3000)]
    run = trained_run(tmp_path, *kept)
    (run / "checkpoints" / "000000002000" / "weights.bin").write_bytes(b"torn")
    damaged = []

    found = list(load_each(run, damaged.append))

    assert [learned.env_steps for learned in found] == [1000, 3000]
    assert [text for text in damaged if "weights.bin" in text] == damaged
    assert len(damaged) == 1


def test_a_run_without_a_checkpoint_has_none_to_go_through(tmp_path):
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        next(load_each(tmp_path / "nowhere", print))


def test_a_stack_is_kept_in_the_state_and_begins_with_the_first_observation(tmp_path):
    learned = tinyqueue.load(trained_run(tmp_path))
    three = EnvironmentConfig(id="CartPole-v1", stack=3)
    learned.spec = learned.spec.model_copy(update={"environment": three})
    watcher: Any = Watcher(2)
    learned.runner = watcher
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)

    state = None
    for row in rows:
        _, state = learned.act(row, state)
    learned.act(rows[2])

    stacks = [seen[""][0].tolist() for seen in watcher.seen]
    a, b, c = rows.tolist()
    assert stacks == [[a, a, a], [a, a, b], [a, b, c], [c, c, c]]
    assert state is not None
    assert state["frames:"].shape == (1, 3, 4)


def test_an_observation_of_another_environment_is_refused_with_both(tmp_path):
    learned = tinyqueue.load(trained_run(tmp_path))

    with pytest.raises(EnvironmentMismatchError, match=r"\(6,\).*\(4,\).*CartPole-v1"):
        learned.act(np.zeros(6, np.float32))
