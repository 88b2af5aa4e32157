"""Wrappers as they are written in a document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tinyqueue.errors import ConfigError
from tinyqueue.experiment.documents import with_overrides
from tinyqueue.experiment.experiment import Experiment, parse_experiment
from tinyqueue.run.toml_text import toml_text

CLIP = {"wrapper": "gymnasium.wrappers:ClipReward", "min_reward": -1, "max_reward": 1}


@dataclass(frozen=True)
class _Nothing:
    """A component without settings."""


def _parse(*assignments: str, **environment: Any) -> Experiment:
    document = with_overrides(
        {"environment": {"id": "Pendulum-v1", **environment}}, list(assignments)
    )
    return parse_experiment(document, algorithms={"impala": _Nothing}, models={"mlp": _Nothing})


def test_a_wrapper_is_a_name_or_a_table_with_its_arguments() -> None:
    names = _parse(wrappers=["own.shaping:Bonus", CLIP]).environment.wrappers

    assert [wrapper.wrapper for wrapper in names] == [
        "own.shaping:Bonus",
        "gymnasium.wrappers:ClipReward",
    ]
    assert [wrapper.arguments for wrapper in names] == [{}, {"min_reward": -1, "max_reward": 1}]
    assert (names[0].module, names[0].class_name) == ("own.shaping", "Bonus")


def test_wrappers_can_be_set_in_a_command() -> None:
    experiment = _parse(
        'environment.wrappers=["own:Bonus", {wrapper="own:Scale", by=[1, 2]}]',
        "evaluation.environment.wrappers=[]",
    )

    assert experiment.environment.wrappers[1].arguments == {"by": [1, 2]}
    assert experiment.evaluated is not None
    assert experiment.evaluated.wrappers == ()


def test_a_document_with_wrappers_comes_back_from_its_own_text() -> None:
    import tomllib

    experiment = _parse("evaluation.environment.kwargs.g=5.0", wrappers=["own:Bonus", CLIP])

    document = tomllib.loads(toml_text(experiment.document()))

    assert document["environment"]["wrappers"] == ["own:Bonus", CLIP]
    assert (
        parse_experiment(document, algorithms={"impala": _Nothing}, models={"mlp": _Nothing})
        == experiment
    )


def test_evaluation_overrides_the_arguments_that_it_names_and_replaces_all_wrappers() -> None:
    experiment = _parse(
        "evaluation.environment.kwargs.g=5.0", wrappers=[CLIP], kwargs={"g": 10.0, "size": 3}
    )

    evaluated = experiment.evaluated

    assert evaluated is not None
    assert evaluated.kwargs == {"g": 5.0, "size": 3}
    assert evaluated.wrappers == experiment.environment.wrappers


@pytest.mark.parametrize(
    "assignments",
    [(), ("evaluation.environment.wrappers=[]",), ("evaluation.environment.kwargs.g=10.0",)],
)
def test_evaluation_that_differs_in_nothing_is_no_other_environment(assignments: Any) -> None:
    assert _parse(*assignments, kwargs={"g": 10.0}).evaluated is None


@pytest.mark.parametrize(
    "wrapper",
    ["ClipReward", "own:", "own:Bonus()", "own:a.B", "../own:Bonus", {"min_reward": 1}, 3, None],
)
def test_what_names_no_class_is_refused_with_the_form(wrapper: Any) -> None:
    with pytest.raises(ConfigError, match=r"environment\.wrappers\.0"):
        _parse(wrappers=[wrapper])


def test_an_unknown_key_of_the_evaluation_environment_suggests_its_own_keys() -> None:
    with pytest.raises(ConfigError, match=r"'evaluation\.environment\.wrapers'.*'wrappers'"):
        _parse("evaluation.environment.wrapers=[]")


def test_there_are_at_most_32_wrappers() -> None:
    with pytest.raises(ConfigError, match="at most 32"):
        _parse(wrappers=["own:Bonus"] * 33)
