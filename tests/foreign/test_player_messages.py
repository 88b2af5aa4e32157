"""What the player of docs/wire.md writes and reads is what the library reads and writes."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyqueue.data.spaces import Arrays
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.policy.spec_contract import contract_of
from tinyqueue.wire.conformance import Conformance
from tinyqueue.wire.recorded import Recorded
from tinyqueue.wire.weights import WeightVersion, encode_weights

PLAYER = Path(__file__).with_name("player.py")


@pytest.fixture(scope="module")
def player() -> Any:
    spec = importlib.util.spec_from_file_location("foreign_player", PLAYER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_player_shares_no_code_with_the_library() -> None:
    nodes = list(ast.walk(ast.parse(PLAYER.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    packages = {name.partition(".")[0] for name in names}

    assert packages.isdisjoint({"tinyqueue", "kombu", "celery"})
    assert {"amqp", "msgpack", "onnxruntime", "redis"} <= packages


def test_it_reads_the_weights_that_the_library_writes(player: Any) -> None:
    rng = np.random.default_rng(0)
    arrays: Arrays = {
        "a/kernel": rng.normal(size=(3, 5)).astype(np.float32),
        "count": np.array(7, np.int64),
        "odd": rng.integers(0, 9, 11).astype(np.uint8),
        "flags": np.array([True, False, True]),
    }
    data = encode_weights(WeightVersion(4, 2, "c" * 32, 10, 1000, "0" * 64, arrays))

    values, found = player.unframe(data[32:])

    assert values["version"] == 4
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_the_batches_that_it_plays_conform_and_so_does_one_after_it_gave_one_up(
    player: Any,
) -> None:
    box = {"dtype": "float32", "shape": [4], "n": 0, "low": None, "high": None}
    push = {"dtype": "uint8", "shape": [], "n": 2, "low": None, "high": None}
    spec = PlaySpec.model_validate(
        {
            "experiment": "pole",
            "run": "c" * 32,
            "environment": {"id": "CartPole-v1"},
            "observation_space": {"": box},
            "action_space": {"": push},
            "head": "categorical",
            "ticks": 16,
            "slots": 3,
            "graph_sha256": "0" * 64,
        }
    )
    sent: list[Recorded] = []
    answers = ["ack"] * 6 + ["nack"] + ["ack"] * 4

    class Offline(player.Player):  # type: ignore[misc]
        """Keeps what it would publish."""

        def __init__(self) -> None:
            self.login, self.name, self.record, self.left = "rack", "host:1", None, 99
            self.dropped: list[Any] = []
            self.ended: list[str] = []
            self.stage = player.Stage(spec.model_dump(), spec.version, "rack")
            self.policy = Random()

        def publish(self, body: Any, headers: Any, properties: Any, experiment: str) -> str:
            answer = answers.pop(0)
            if answer == "ack":
                sent.append(Recorded(dict(properties), dict(headers), body))
            return answer

    class Random:
        version = 3

        def logits(self, seen: Any) -> Any:
            return np.zeros((len(seen), 2), np.float32)

    playing = Offline()
    while answers:
        arrays, play_s = playing.stage.play(playing.policy)
        playing.deliver("t1", arrays, play_s)
        playing.stage.n += 1

    checks = Conformance(contract_of(spec, needs_carry=True), spec.version)
    for message in sent:
        checks.check(message)
    assert len(sent) == 10
    ends = sum(np.count_nonzero(player.unframe(m.body)[1]["terminated"]) for m in sent)
    assert ends > 10
    # The batch after the gap tells of it, once.
    told = [player.unframe(message.body)[0]["header"]["dropped"] for message in sent]
    assert told == [[]] * 6 + [[["queue full", 6, 1]]] + [[]] * 3
