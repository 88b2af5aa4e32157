"""``{slot}``: every environment of a machine has a number of its own."""

from typing import Any, cast

import gymnasium
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleEnv, CartPoleVectorEnv

from tinyqueue.envs.build import make_environment, make_vector
from tinyqueue.envs.slot_numbers import (
    LOOKED_AT,
    PLAYER_INDEX,
    first_evaluated,
    first_played,
    is_numbered,
    numbered,
)
from tinyqueue.evaluation.table import make_table
from tinyqueue.experiment.environment import EnvironmentConfig

BUILT = []


class Ported(CartPoleEnv):
    def __init__(self, port, name=""):
        super().__init__()
        BUILT.append((port, name))


class PortedVector(CartPoleVectorEnv):
    def __init__(self, num_envs, port, name=""):
        super().__init__(num_envs)


@pytest.fixture
def ported():
    BUILT.clear()
    gymnasium.register("Ported-v0", cast(Any, Ported), vector_entry_point=cast(Any, PortedVector))
    yield EnvironmentConfig(id="Ported-v0", kwargs={"port": "{slot+5000}", "name": "p{slot}"})
    del gymnasium.registry["Ported-v0"]


def test_texts_anywhere_in_the_arguments_are_filled_in():
    kwargs = {
        "a": "{slot}",
        "b": "port-{slot}/{slot+10}",
        "c": ["{slot+1}", {"d": "{slot}"}],
    }
    assert numbered(kwargs, 7) == {"a": 7, "b": "port-7/17", "c": [8, {"d": 7}]}
    assert numbered({"a": "{slots} {slot-1} {}"}, 7) == {"a": "{slots} {slot-1} {}"}
    assert is_numbered(kwargs)
    assert not is_numbered({"a": "slot", "b": [1]})


def test_players_of_a_machine_and_their_slots_differ(monkeypatch):
    monkeypatch.delenv(PLAYER_INDEX, raising=False)
    assert (first_played(4), first_evaluated(4)) == (0, 2000)
    monkeypatch.setenv(PLAYER_INDEX, "3")
    assert (first_played(4), first_evaluated(10)) == (12, 1030)


def test_a_stages_environments_have_theirs_and_are_built_one_by_one(ported):
    make_vector(ported, 3, first=6)
    assert BUILT == [(5006, "p6"), (5007, "p7"), (5008, "p8")]


def test_evaluated_and_looked_at_ones_have_others(ported, monkeypatch):
    monkeypatch.setenv(PLAYER_INDEX, "0")
    make_table(ported, 2).close()
    make_environment(ported).close()
    assert [(6000, "p1000"), (6001, "p1001"), (5000 + LOOKED_AT, f"p{LOOKED_AT}")] == BUILT
