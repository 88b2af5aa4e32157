"""Whose rewards a run's returns are, where wrappers may make several of them."""

from __future__ import annotations

from tinyqueue.envs.wrapped import may_change_rewards
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.experiment.wrappers import named


def which_returns(experiment: Experiment) -> str | None:
    """A remark for a person on what training and evaluation returns are, or None if that is plain.

    Raises:
        ConfigError, UnknownNameError: A wrapper cannot be used on this machine.
    """
    environment, evaluated = experiment.environment, experiment.evaluated
    if evaluated is not None:
        return (
            f"training returns (return_mean, episodes.jsonl) are those of {_in(environment)}; "
            f"evaluation returns, which the level is compared with, are those of {_in(evaluated)}"
        )
    if not may_change_rewards(environment.wrappers):
        return None
    return (
        f"returns are those of {_in(environment)}, in training and in evaluation. To evaluate by "
        "the environment's own: --set 'evaluation.environment.wrappers=[…]', with only the "
        "wrappers that change observations or actions, or [] if there are none"
    )


def _in(config: EnvironmentConfig) -> str:
    arguments = f" with {config.kwargs}" if config.kwargs else ""
    wrappers = named(config.wrappers)
    return f"{config.id}{arguments} in {wrappers}" if wrappers else f"{config.id}{arguments} itself"
