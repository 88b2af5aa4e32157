"""Environments of games: cast and blamed as those of players, and closed whatever happens."""

from typing import Any, cast

import faulty
import gymnasium
import numpy as np
import pytest
from faulty import Fault, Faulty, World

from tinyqueue.errors import EnvironmentFailedError
from tinyqueue.evaluation.table import make_table
from tinyqueue.experiment.environment import EnvironmentConfig


@pytest.fixture
def table():
    """Makes a table of three, whose faults are the given ones."""
    gymnasium.register("Faulty-v0", cast(Any, Faulty))
    made = []

    def make(*faults, hang_s=None):
        faulty.WORLD = World(list(faults))
        # Games are numbered from 2000 where they are no worker's.
        config = EnvironmentConfig(id="Faulty-v0", kwargs={"slot": "{slot}"}, hang_s=hang_s)
        made.append(make_table(config, 3))
        return made[-1]

    yield make
    for one in made:
        one.close()
    del gymnasium.registry["Faulty-v0"]


def play(table, steps):
    table.reset(3, 7)
    slots = np.arange(3)
    return [table.step(slots, {"": np.zeros(3, np.uint8)}) for _ in range(steps)]


def test_games_without_faults_are_played(table):
    made = table()
    rewards, ended = zip(*play(made, 4), strict=True)
    assert np.array(rewards).tolist() == [[k] * 3 for k in (1, 2, 3, 4)]
    assert np.array(ended).tolist() == [[False] * 3] * 3 + [[True] * 3]
    assert made.rows[""].tolist() == [[1, 4], [2, 4], [3, 4]]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("error", "step 2 of the game in slot 1: RuntimeError: error in step"),
        ("nan", r"step 2 of the game in slot 1: the observation is nan at \[0\]"),
        ("text", "'a frame'"),
        ("reward", "the reward is 'much'"),
        ("few", "4 values"),
        ("exit", "SystemExit"),
    ],
)
def test_a_failure_names_the_step_and_the_game(table, kind, said):
    made = table(Fault(kind, "step", slot=2001, call=2))
    with pytest.raises(EnvironmentFailedError, match=said) as raised:
        play(made, 3)
    assert raised.value.place.startswith("faulty.py:")


def test_a_game_that_hangs_fails(table):
    made = table(Fault("hang", "step", slot=2001, call=2), hang_s=0.05)
    with pytest.raises(EnvironmentFailedError, match=r"did not return within 0\.05 s"):
        play(made, 3)


def test_a_build_that_fails_closes_those_before_it(table):
    with pytest.raises(EnvironmentFailedError, match=r"OSError.*evaluation\.slots=1"):
        table(Fault("os", "init", slot=2002, call=1))
    assert faulty.WORLD.built == 2
    assert faulty.WORLD.open == 0
