"""Which of the environment's numbers are recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tinyqueue.errors import ConfigError
from tinyqueue.experiment.experiment import Experiment, parse_experiment


@dataclass(frozen=True)
class _Nothing:
    """A component without settings."""


def _parse(**sections: Any) -> Experiment:
    return parse_experiment(
        {"environment": {"id": "Taxi-v4"}, **sections},
        algorithms={"impala": _Nothing},
        models={"mlp": _Nothing},
    )


def test_keys_are_kept_in_a_document_that_parses_to_the_same() -> None:
    experiment = _parse(metrics={"info": ["x_position", "agent/y"]})

    assert experiment.metrics.info == ("x_position", "agent/y")
    assert _parse(**experiment.document()) == experiment


def test_a_document_without_keys_is_that_of_earlier_versions() -> None:
    assert "metrics" not in _parse().document()


@pytest.mark.parametrize(
    "info",
    [[""], ["x" * 65], ["x", "x"], ["x", "x_mean"], ["x\n"], [3], "x", ["x"] * 33],
)
def test_what_cannot_name_a_number_is_refused(info: Any) -> None:
    with pytest.raises(ConfigError, match=r"metrics\.info"):
        _parse(metrics={"info": info})
