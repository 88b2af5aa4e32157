"""Keyword arguments as plain data: what is taken, and what is refused wherever it comes from."""

import math
import tomllib

import pytest

from tinyqueue.errors import ConfigError
from tinyqueue.experiment.documents import with_overrides
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.experiment.plain_data import plain_table
from tinyqueue.experiment.validation import validated
from tinyqueue.run.toml_text import toml_text


def nested(depth):
    return {"a": nested(depth - 1)} if depth else 1


def test_lists_and_tables_are_kept_and_tuples_become_lists():
    kwargs = {"map": ("SF", "HG"), "engine": {"speed": 2, "seeds": [1, {"x": 0.5}]}, "on": True}

    config = EnvironmentConfig(id="Maze-v0", kwargs=kwargs)

    assert config.kwargs == {**kwargs, "map": ["SF", "HG"]}
    assert EnvironmentConfig.model_validate_json(config.model_dump_json()) == config
    assert tomllib.loads(toml_text({"kwargs": config.kwargs})) == {"kwargs": config.kwargs}


def test_they_can_be_written_with_set():
    document = with_overrides(
        {"environment": {"id": "Maze-v0"}},
        ['environment.kwargs.map=["SF"]', "environment.kwargs.engine={speed = 2}",
         "environment.kwargs.port={slot+5000}"],
    )  # fmt: skip

    config = validated(EnvironmentConfig, document["environment"], "environment")

    assert config.kwargs == {"map": ["SF"], "engine": {"speed": 2}, "port": "{slot+5000}"}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": math.nan}, "nan"),
        ({"a": [math.inf]}, "inf"),
        ({"a": None}, "NoneType"),
        ({"a": object()}, "object"),
        ({"a": {1: 2}}, "key"),
        ({"a": 2**256}, "256 bits"),
        ({"a": [0] * 20_000}, "10000 values"),
        ({"a": "x" * 70_000}, "65536"),
        (nested(9), "8 levels"),
        ([1], "table"),
    ],
)
def test_what_is_no_plain_data_or_too_much_is_refused(value, said):
    with pytest.raises(ValueError, match=said):
        plain_table(value)
    with pytest.raises(ConfigError, match=r"environment\.kwargs"):
        validated(EnvironmentConfig, {"id": "Maze-v0", "kwargs": value}, "environment")
