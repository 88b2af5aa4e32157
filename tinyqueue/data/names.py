"""How the arrays that are carried from batch to batch, and a policy's inputs, are spelt.

A path is that of a leaf. A space that is a single leaf has the path ``""``, and then the name
ends without ``/<path>``.
"""

from __future__ import annotations

EPISODE_STEPS = "episode_steps"
"""Length of a slot's episode before row 0, in ticks."""
PREVIOUS_REWARD = "previous_reward"
"""Reward of the tick before row 0."""

_PREVIOUS_ACTION, _FRAMES = "previous_action", "frames"
_STATE = "state/"

OBSERVATION_STATISTICS = "observation_statistics_"
"""Prefix of the paths of a network's variables that hold means and deviations of observations."""

REWARD_INPUT = "previous:reward"
"""A network's input for the previous tick's reward."""
_ACTION_INPUT = "previous:action"


def carried_action(path: str) -> str:
    """Name of the action before row 0: ``previous_action``, ``previous_action/arm``."""
    return _joined(_PREVIOUS_ACTION, path)


def carried_frames(path: str) -> str:
    """Name of the k−1 frames before row 0, ``[B, k−1, *frame]``: ``frames``, ``frames/camera``."""
    return _joined(_FRAMES, path)


def carried_state(path: str) -> str:
    """Name of the recurrent state before row 0, ``[B, *state]``: ``state/h``."""
    return f"{_STATE}{path}"


def state_of_carried(name: str) -> str | None:
    """The path that :func:`carried_state` turned into ``name``; None for anything else."""
    return name.removeprefix(_STATE) if name.startswith(_STATE) else None


def action_input(path: str) -> str:
    """A network's input for the previous action: ``previous:action``, ``previous:action/arm``."""
    return _joined(_ACTION_INPUT, path)


def action_of_input(name: str) -> str | None:
    """The path that :func:`action_input` turned into ``name``; None for any other input."""
    head, _, path = name.partition("/")
    return path if head == _ACTION_INPUT else None


def _joined(name: str, path: str) -> str:
    return f"{name}/{path}" if path else name
