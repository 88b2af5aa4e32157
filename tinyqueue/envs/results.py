"""What ``reset`` and ``step`` of a single environment returned, in plain types."""

from __future__ import annotations

from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from tinyqueue.data.spaces import Array
from tinyqueue.envs.faults import BrokenRuleError, shown
from tinyqueue.errors import EnvironmentFailedError

_MOST = float(np.finfo(np.float32).max)
# Rewards travel as 32-bit floats.


def first_observation(result: Any) -> Any:
    """The observation that ``reset`` returned.

    Raises:
        BrokenRuleError: It did not return an observation and an info, as Gymnasium requires.
    """
    if isinstance(result, tuple) and len(result) == 2:
        return result[0]
    given = f"{len(result)} values" if isinstance(result, tuple) else f"a {type(result).__name__}"
    raise BrokenRuleError(
        "reset-result",
        f"reset returned {given}; since 0.26 Gymnasium expects two, an observation and an info. "
        "Return both, or wrap the environment",
    )


def step_values(result: Any) -> tuple[Any, tuple[float, bool, bool]]:
    """The observation of ``step``, and its reward, terminated and truncated.

    Raises:
        BrokenRuleError: There are not five values, or one of these three has the wrong type.
    """
    try:
        observation, reward, terminated, truncated, _ = result
    except (TypeError, ValueError) as error:
        given = f"{len(result)} values" if isinstance(result, tuple | list) else shown(result)
        raise BrokenRuleError(
            "step-result",
            f"step returned {given}; since 0.26 Gymnasium expects five: observation, reward, "
            "terminated, truncated, info. Return these, or wrap the environment",
        ) from error
    if not isinstance(reward, float):
        reward = _scalar(reward)
    if not -_MOST <= reward <= _MOST:
        raise BrokenRuleError("reward-not-finite", f"the reward is {reward}")
    if type(terminated) is not bool:
        terminated = _flag(terminated, "terminated")
    if type(truncated) is not bool:
        truncated = _flag(truncated, "truncated")
    return observation, (reward, terminated, truncated)


def require_finite(name: str, doing: str, rows: dict[str, Array]) -> None:
    """Returns if every number of an observation is finite.

    Args:
        name: The environment's name.
        doing: What it did, for the error.
        rows: Path → ``[B, *obs]``.

    Raises:
        EnvironmentFailedError: One is NaN or infinite.
    """
    for path, values in rows.items():
        if values.dtype.kind != "f" or np.isfinite(values).all():
            continue
        bad = np.argwhere(~np.isfinite(values))[0]
        raise EnvironmentFailedError(
            f"{name} gave the observation {values[tuple(bad)]} in {doing} in slot {int(bad[0])}"
            f"{f', at {path!r}' if path else ''}. Observations must be finite: correct the "
            "environment, or wrap it",
            kind="observation",
        )


def _scalar(reward: Any) -> float:
    """A number, or an array of one number, as a float."""
    try:
        array = np.asarray(reward)
        item: Any = array.item() if array.size == 1 else None
        if item is not None and (array.dtype.kind in "biuf" or isinstance(item, Real | Decimal)):
            return float(item)
    except OverflowError as error:
        raise BrokenRuleError(
            "reward-not-finite", f"the reward is {shown(reward)}, which is too large"
        ) from error
    except Exception as error:
        raise _no_number(reward) from error
    raise _no_number(reward)


def _no_number(reward: Any) -> BrokenRuleError:
    return BrokenRuleError("reward-type", f"the reward is {shown(reward)}, which is not a number")


def _flag(value: Any, name: str) -> bool:
    """True or false, 0 or 1, or an array of one of these, as a bool."""
    if type(value) is np.bool_:
        return bool(value)
    try:
        array = np.asarray(value)
        if array.size == 1 and array.dtype.kind in "biuf" and array.item() in (0, 1):
            return bool(array.item())
    except Exception as error:
        raise _no_flag(value, name) from error
    raise _no_flag(value, name)


def _no_flag(value: Any, name: str) -> BrokenRuleError:
    return BrokenRuleError("step-result", f"{name} is {shown(value)}, neither true nor false")
