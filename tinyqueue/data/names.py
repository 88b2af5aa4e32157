"""The one spelling of what is carried from batch to batch, and of a policy's inputs.

A path is that of a leaf, ``""`` for a space that is a leaf itself: such a name ends where others
go on with ``/<path>``.
"""

from __future__ import annotations

EPISODE_STEPS = "episode_steps"
"""Ticks that a slot's episode had lasted before row 0."""
PREVIOUS_REWARD = "previous_reward"
"""Reward of the tick before row 0."""

_PREVIOUS_ACTION, _FRAMES = "previous_action", "frames"
_STATE = "state/"

REWARD_INPUT = "previous:reward"
"""A network's input for the reward of the tick before."""
_ACTION_INPUT = "previous:action"


def carried_action(path: str) -> str:
    """Carries the action of the tick before row 0: ``previous_action``, ``previous_action/arm``."""
    return _joined(_PREVIOUS_ACTION, path)


def carried_frames(path: str) -> str:
    """Carries the k−1 frames before row 0, ``[B, k−1, *frame]``: ``frames``, ``frames/camera``."""
    return _joined(_FRAMES, path)


def carried_state(path: str) -> str:
    """Carries the recurrent state before row 0, ``[B, *state]``: ``state/h``."""
    return f"{_STATE}{path}"


def action_input(path: str) -> str:
    """A network's input for the action of the tick before: ``previous:action``,
    ``previous:action/arm``."""
    return _joined(_ACTION_INPUT, path)


def action_of_input(name: str) -> str | None:
    """The path of which ``name`` is the :func:`action_input`; None for any other input."""
    head, _, path = name.partition("/")
    return path if head == _ACTION_INPUT else None


def _joined(name: str, path: str) -> str:
    return f"{name}/{path}" if path else name
