"""What a person is told about the returns of training and of evaluation."""

from typing import Any

import pytest

from tinyqueue.catalogue import make_experiment
from tinyqueue.evaluation.which_returns import which_returns

CLIP = {"wrapper": "gymnasium.wrappers:ClipReward", "min_reward": -1, "max_reward": 1}
FLAT = "gymnasium.wrappers:FlattenObservation"


def told(wrappers: list[Any], **evaluation: Any) -> str | None:
    return which_returns(
        make_experiment(
            {
                "environment": {"id": "Pendulum-v1", "wrappers": wrappers},
                "evaluation": evaluation,
            }
        )
    )


@pytest.mark.parametrize("wrappers", [[], [FLAT]])
def test_nothing_is_said_where_rewards_are_the_environments_own(wrappers: list[Any]) -> None:
    assert told(wrappers) is None


def test_shaped_returns_are_told_with_how_to_judge_by_the_true_ones() -> None:
    said = told([CLIP])

    assert said is not None
    assert "Pendulum-v1 in gymnasium.wrappers:ClipReward, in training and in evaluation" in said
    assert "evaluation.environment.wrappers" in said


def test_with_another_environment_for_evaluation_both_are_told() -> None:
    said = told([CLIP], environment={"wrappers": [], "kwargs": {"g": 5.0}})

    assert said is not None
    assert "training returns (return_mean, episodes.jsonl) are those of Pendulum-v1 in" in said
    assert "are those of Pendulum-v1 with {'g': 5.0} itself" in said
