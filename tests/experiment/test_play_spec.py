"""Given specs that a learner makes and players read."""

from __future__ import annotations

from typing import Any

import pytest

from tinyqueue.data.spaces import Leaf, space_to_json
from tinyqueue.errors import ConfigError
from tinyqueue.experiment.play_spec import PlaySpec

SPACE = {"zoom": Leaf("float32", (2,), low=-1.0), "arm/angle": Leaf("uint8", (), 9)}


def _spec(**changes: Any) -> PlaySpec:
    values: dict[str, Any] = {
        "experiment": "cartpole-impala",
        "run": "0" * 32,
        "environment": {"id": "CartPole-v1", "kwargs": {"a": 1, "b": 1.0, "c": True, "d": "x"}},
        "observation_space": space_to_json(SPACE),
        "action_space": space_to_json({"": Leaf("uint8", (), 2)}),
        "head": "categorical",
        "ticks": 32,
        "slots": 64,
        "graph_sha256": "a" * 64,
        "state": {"h": [64]},
    }
    return PlaySpec.model_validate(values | changes)


def test_a_spec_comes_back_with_the_order_of_its_spaces() -> None:
    spec = PlaySpec.from_json(_spec().to_json())

    assert spec == _spec()
    assert list(spec.observations.items()) == list(SPACE.items())
    assert spec.actions == {"": Leaf("uint8", (), 2)}
    assert [type(v) for v in spec.environment.kwargs.values()] == [int, float, bool, str]


def test_a_specs_version_is_that_of_its_content() -> None:
    spec = _spec()

    assert spec.version == PlaySpec.from_json(spec.to_json()).version
    assert 0 <= spec.version < 2**48
    others: list[dict[str, Any]] = [
        {"seed": 1},
        {"ticks": 33},
        {"run": "1" * 32},
        {"head_config": {"x": 1}},
        {"observation_space": space_to_json(dict(reversed(SPACE.items())))},
    ]
    assert len({spec.version, *(_spec(**other).version for other in others)}) == 6


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        b"\xff",
        "[]",
        "{}",
        _spec().to_json().replace('"ticks": 32', '"ticks": 0'),
        _spec().to_json().replace('"ticks": 32', '"tickz": 32'),
        _spec().to_json().replace("a" * 64, "A" * 64),
        _spec().to_json().replace('"n": 9', '"m": 9'),
        _spec().to_json().replace('"low": -1.0', '"low": "deep"'),
        _spec().to_json().replace('"shape": [2]', '"shape": 2'),
    ],
)
def test_a_spec_of_another_schema_is_refused_with_what_to_do(text: str | bytes) -> None:
    assert text != _spec().to_json()
    with pytest.raises(ConfigError, match="Run the same tinyqueue version") as raised:
        PlaySpec.from_json(text)
    assert len(str(raised.value)) < 3000


def test_a_spec_has_no_room_for_a_users_file() -> None:
    for section in ("algorithm", "model"):
        text = _spec().to_json().replace("{", f'{{"{section}": {{"name": "own.py:Mine"}}, ', 1)
        with pytest.raises(ConfigError, match=section):
            PlaySpec.from_json(text)
