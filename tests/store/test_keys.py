from __future__ import annotations

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
    assert attempts_key("t1") == "tinyqueue:attempts:t1"


@pytest.mark.parametrize("name", ["", "Pong", "a:b", "-a", "a" * 49, "a\n", "../x", "attempts"])
def test_a_name_that_could_reach_other_keys_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name an experiment"):
        Keys(name)
