from __future__ import annotations

import dataclasses

import pytest

from tinyqueue.algorithms.registry import ALGORITHMS
from tinyqueue.data.spaces import Leaf
from tinyqueue.errors import ConfigError
from tinyqueue.experiment import parse_experiment
from tinyqueue.models.network import Output
from tinyqueue.models.registry import MODELS

TABLES = {
    "algorithms": {name: entry.config for name, entry in ALGORITHMS.items()},
    "models": {name: entry.config for name, entry in MODELS.items()},
}


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_every_algorithm_can_be_written_down_and_read_again(name: str) -> None:
    document = {"environment": {"id": "CartPole-v1"}, "algorithm": {"name": name}}
    experiment = parse_experiment(document, **TABLES)
    assert experiment.algorithm == ALGORITHMS[name].config()
    assert parse_experiment(experiment.document(), **TABLES) == experiment
    outputs = ALGORITHMS[name].outputs({"": Leaf("uint8", (), n=2)}, experiment.algorithm)
    assert outputs == {"logits": Output(2), "value": Output(1)}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gamma", 1.5),
        ("learning_rate", -1),
        ("max_grad_norm", 0),
        ("optimiser", "sgd"),
        ("anneal_steps", -5),
        ("epsilon", float("inf")),
        ("rho_clip", 0),
    ],
)
def test_values_out_of_range_are_refused_by_name(key: str, value: object) -> None:
    document = {"environment": {"id": "CartPole-v1"}, "algorithm": {key: value}}
    with pytest.raises(ConfigError, match=f"algorithm.{key}"):
        parse_experiment(document, **TABLES)


def test_a3c_has_no_clips_because_it_corrects_nothing() -> None:
    names = {field.name for field in dataclasses.fields(ALGORITHMS["a3c"].config)}
    assert not {"rho_clip", "c_clip", "pg_rho_clip"} & names
