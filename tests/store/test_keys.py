from __future__ import annotations

import re

import pytest

from tinyqueue.errors import ConfigError
from tinyqueue.store.keys import EXPERIMENTS, Keys, attempts_key


def test_every_key_of_an_experiment_lies_under_its_name() -> None:
    keys = Keys("pong-impala")
    assert keys.spec == "tinyqueue:pong-impala:spec"
    assert keys.head == "tinyqueue:pong-impala:head"
    assert keys.lease == "tinyqueue:pong-impala:lease"
    assert keys.epoch == "tinyqueue:pong-impala:epoch"
    assert keys.stop == "tinyqueue:pong-impala:stop"
    assert keys.status == "tinyqueue:pong-impala:status"
    assert keys.versions == "tinyqueue:pong-impala:versions"
    assert keys.graph("ab") == "tinyqueue:pong-impala:graph:ab"
    assert keys.weights(7) == "tinyqueue:pong-impala:weights:7"
    assert keys.pin(7) == "tinyqueue:pong-impala:pin:7"
    assert EXPERIMENTS == "tinyqueue:experiments"


def test_tasks_are_counted_under_a_fixed_number_of_short_names() -> None:
    names = {attempts_key(task) for task in ("", "t1", "t" * 10_000, "é\n ", *map(str, range(500)))}
    assert all(re.fullmatch("tinyqueue:attempts:[0-9a-f]{4}", name) for name in names)
    assert len(names) > 490


@pytest.mark.parametrize("name", ["", "Pong", "a:b", "-a", "a" * 49, "a\n", "../x", "attempts"])
def test_a_name_that_could_reach_other_keys_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name an experiment"):
        Keys(name)
