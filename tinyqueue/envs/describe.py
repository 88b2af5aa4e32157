"""What an environment is, found out by building it once.

The learner only needs the spaces, so :func:`describe_in_child` builds the environment in a
short-lived process: an environment that crashes, leaks or prints does not touch the learner.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tinyqueue.data.spaces import Space, space_from_json, space_to_json
from tinyqueue.envs.atari import limit_frames
from tinyqueue.envs.build import make_environment
from tinyqueue.envs.dropped import drop, unsupported_parts
from tinyqueue.envs.names import find_environment, import_allowed
from tinyqueue.envs.spaces import Layout, action_layout
from tinyqueue.errors import ConfigError, TinyqueueError
from tinyqueue.experiment.environment import EnvironmentConfig

_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class EnvironmentInfo:
    """One environment.

    Attributes:
        id: Its Gymnasium id.
        observation_space, action_space: Of one slot, as data.
        reward_threshold: The mean return at which its authors call it solved, if they say.
        max_episode_steps: Where episodes are truncated, if anywhere.
        drop: What ``environment.drop`` must be to observe this: as it was given, and the parts
            that are not supported.
    """

    id: str
    observation_space: Space
    action_space: Space
    reward_threshold: float | None
    max_episode_steps: int | None
    drop: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON object from which :meth:`from_json` makes an equal one."""
        return {
            "id": self.id,
            "observation_space": space_to_json(self.observation_space),
            "action_space": space_to_json(self.action_space),
            "reward_threshold": self.reward_threshold,
            "max_episode_steps": self.max_episode_steps,
            "drop": list(self.drop),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> EnvironmentInfo:
        spaces = {key: space_from_json(value[key]) for key in ("observation_space", "action_space")}
        return cls(**{**value, **spaces, "drop": tuple(value["drop"])})


def describe(config: EnvironmentConfig, modules: Sequence[str] = ()) -> EnvironmentInfo:
    """Builds the environment here, once.

    Args:
        config: Which environment.
        modules: Modules that register environments, imported first.

    Raises:
        UnknownNameError, ConfigError, MissingExtraError: It cannot be built, or its spaces are
            not supported.
    """
    import_allowed(modules)
    spec = find_environment(config.id)
    environment = make_environment(config)
    try:
        unsupported = unsupported_parts(environment.observation_space)
        if unsupported:
            environment = drop(environment, unsupported)
        return EnvironmentInfo(
            id=config.id,
            observation_space=Layout(
                environment.observation_space, f"the observations of {config.id}"
            ).space,
            action_space=action_layout(environment.action_space, config.id).space,
            reward_threshold=spec.reward_threshold,
            max_episode_steps=_limit(config) or spec.max_episode_steps,
            drop=(*(config.drop or ()), *unsupported),
        )
    finally:
        environment.close()


def describe_in_child(config: EnvironmentConfig, modules: Sequence[str] = ()) -> EnvironmentInfo:
    """:func:`describe` in a child process.

    Raises:
        ConfigError: What :func:`describe` raises, or the child crashed or took over a minute.
    """
    request = json.dumps({"config": config.model_dump(), "modules": list(modules)})
    try:
        child = subprocess.run(
            [sys.executable, "-m", "tinyqueue.envs.describe"],
            input=request,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(
            f"the environment {config.id} was not built within {_TIMEOUT_S:.0f} s. Try it alone: "
            f"python -c \"import gymnasium; gymnasium.make('{config.id}')\"."
        ) from None
    if child.returncode == -signal.SIGINT:
        # A Ctrl-C goes to the child too.
        raise KeyboardInterrupt
    if child.returncode != 0:
        raise ConfigError(
            f"building the environment {config.id} ended its process: "
            f"{_ending(child.returncode)}. It said: {child.stderr.strip()[-500:] or 'nothing'}"
        )
    answer = json.loads(child.stdout)
    if "error" in answer:
        raise ConfigError(answer["error"])
    return EnvironmentInfo.from_json(answer["info"])


def _limit(config: EnvironmentConfig) -> int | None:
    if config.atari:
        return math.ceil(limit_frames(config) / config.atari.frame_skip)
    return config.max_episode_steps


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _answer_as_child() -> None:
    """Reads a request from stdin, answers on stdout. What the environment prints goes to stderr."""
    request = json.load(sys.stdin)
    out = os.dup(1)
    os.dup2(2, 1)
    try:
        config = EnvironmentConfig.model_validate(request["config"])
        answer: dict[str, Any] = {"info": describe(config, request["modules"]).to_json()}
    except TinyqueueError as error:
        answer = {"error": str(error)}
    with os.fdopen(out, "w") as pipe:
        json.dump(answer, pipe)


if __name__ == "__main__":
    _answer_as_child()
