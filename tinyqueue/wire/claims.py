"""What a player claims about its own play, and nothing in the batch proves: only what is possible.

Returns and lengths of episodes, numbers of ``info``, times. Nothing is trained on them, but they
are shown, averaged and drawn, and they decide when an evaluation is due. So one player must not
be able to falsify them beyond what its rewards and steps allow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tinyqueue.data.episodes import Episodes
from tinyqueue.data.info_values import MOST_MAGNITUDE
from tinyqueue.data.pace import Pace
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array
from tinyqueue.errors import MessageError
from tinyqueue.wire.magnitudes import BEYOND, LEAST_LIMIT, MOST_RETURN, MOST_SECONDS, require_within

_ROUNDING = 1e-6
"""A return is the float32 of a float64 sum, and a percentile an interpolation."""
MOST_REPEATS = 1000
"""Env steps in one tick: a wrapper may repeat an action, and the pace counts what is below it."""


def most_return(lengths: Array, max_abs_reward: float) -> Array:
    """``[E]`` float64, the largest magnitude of a return that an episode's steps can add up to.

    Args:
        lengths: ``[E]`` env steps.
        max_abs_reward: Largest magnitude of a reward.
    """
    most = max_abs_reward * np.maximum(lengths, 0).astype(np.float64)
    return np.minimum(most, MOST_RETURN)


def are_possible_returns(returns: Array, lengths: Array, max_abs_reward: float) -> Array:
    """``[E]`` bool, whether each return can be the sum of so many rewards; NaN cannot."""
    most = most_return(lengths, max_abs_reward) * (1 + _ROUNDING)
    possible: Array = np.abs(returns.astype(np.float64)) <= most
    return possible


def clipped_returns(episodes: Episodes, max_abs_reward: float) -> tuple[Episodes, str, int]:
    """The episodes with their finite returns clipped to the possible ones.

    Returns:
        The episodes; the first return that was not possible, in words; and how many there were.
    """
    wrong = ~are_possible_returns(episodes.returns, episodes.lengths, max_abs_reward)
    wrong &= np.isfinite(episodes.returns)
    if not wrong.any():
        return episodes, "", 0
    most = most_return(episodes.lengths, max_abs_reward)
    clipped = np.clip(episodes.returns, -most, most).astype(episodes.returns.dtype)
    returns = np.where(wrong, clipped, episodes.returns)
    text = f"{_return_told(episodes, wrong, max_abs_reward)}; it is clipped to that in every step"
    return replace(episodes, returns=returns), text, int(np.count_nonzero(wrong))


def check_episodes(batch: SessionBatch, *, max_abs_reward: float, info: int) -> None:
    """Returns if the episodes of a batch are possible ones.

    Args:
        batch: Its ends of episodes have been checked.
        max_abs_reward: Largest magnitude of a reward.
        info: K, the numbers that episodes may have from the environment's info.

    Raises:
        MessageError: The first rule that they break.
    """
    episodes = batch.episodes
    if len(episodes) != np.count_nonzero(batch.terminated | batch.truncated):
        raise MessageError("range", "the episodes listed are not as many as ended")
    if not len(episodes):
        return
    _check_lengths(batch)
    _check_returns(episodes, max_abs_reward)
    for numbers in (episodes.info_last, episodes.info_mean):
        if numbers.shape[1] not in (0, info):
            raise MessageError(
                "shape", f"an episode has {numbers.shape[1]} numbers of info, not {info}"
            )
        if numbers.size:
            # NaN says that there was no number.
            require_within("an episode's info", np.nan_to_num(numbers), MOST_MAGNITUDE)


def info_limit(seen: float) -> float:
    """The largest magnitude at which a number of ``info`` counts.

    Args:
        seen: The largest magnitude of that number in the environment's trial; 0 if it had none.
    """
    return min(MOST_MAGNITUDE, max(LEAST_LIMIT, BEYOND * seen))


def near_info(episodes: Episodes, limits: Mapping[str, float]) -> tuple[Episodes, str, int]:
    """The episodes with NaN, no number, for every number of ``info`` beyond its limit.

    Nothing else shows that such a number is false, and one of them spoils a mean of a hundred.

    Args:
        episodes: With as many numbers each as there are limits, or none.
        limits: Key of ``metrics.info`` → :func:`info_limit`; empty if there are none.

    Returns:
        The episodes; the first number beyond its limit, in words; and how many there were.
    """
    if not len(episodes) or not limits or episodes.info_last.shape[1] != len(limits):
        return episodes, "", 0
    most = np.array(list(limits.values()), np.float64)
    near, text, count = [], "", 0
    for numbers in (episodes.info_last, episodes.info_mean):
        # NaN is in no comparison.
        far = np.abs(numbers) > most
        near.append(np.where(far, np.float32(np.nan), numbers))
        count += int(np.count_nonzero(far))
        if far.any() and not text:
            row, place = np.argwhere(far)[0]
            key = list(limits)[place]
            text = (
                f"metrics.info: {key!r} is said to be {numbers[row, place]:g} in an episode, which "
                f"does not count: at most ±{limits[key]:g}, {BEYOND:,.0f} times the largest in the "
                f"environment's trial and at least {LEAST_LIMIT:g}, is believed"
            )
    if not count:
        return episodes, "", 0
    return replace(episodes, info_last=near[0], info_mean=near[1]), text, count


def check_pace(pace: Pace, ticks: int) -> None:
    """Returns if the pace of a batch does not contradict itself.

    Args:
        pace: How soon the environment got its actions.
        ticks: T × B.

    Raises:
        MessageError: It is about more steps than were played, or its times are not in order.
    """
    if pace.steps > MOST_REPEATS * ticks:
        raise MessageError("range", f"pace is about {pace.steps:,} steps of {ticks:,} ticks")
    spare = 1 + _ROUNDING
    if pace.p50_ms > spare * pace.p99_ms or pace.p99_ms > spare * pace.worst_ms:
        raise MessageError("range", "in pace, p50_ms ≤ p99_ms ≤ worst_ms does not hold")


def _check_lengths(batch: SessionBatch) -> None:
    episodes, slots = batch.episodes, batch.slots
    if episodes.slots.min() < 0 or episodes.slots.max() >= slots:
        raise MessageError("range", f"an episode's slot is not 0 … {slots - 1}")
    if episodes.lengths.min() < 1 or not episodes.seconds.min() >= 0:
        raise MessageError("range", "an episode's length or duration is too small")
    # A stage plays one tick at a time from its batch 0 on.
    played = (batch.header.n + 1) * batch.ticks
    if np.bincount(episodes.slots, episodes.lengths).max() > played:
        raise MessageError("range", "an episode is longer than its stage has played")


def _check_returns(episodes: Episodes, max_abs_reward: float) -> None:
    if not np.isfinite(episodes.returns).all() or not np.isfinite(episodes.seconds).all():
        raise MessageError("not-finite", "an episode's return or duration is not a number")
    wrong = ~are_possible_returns(episodes.returns, episodes.lengths, max_abs_reward)
    if wrong.any():
        raise MessageError("too-far", _return_told(episodes, wrong, max_abs_reward))
    require_within("an episode's duration", episodes.seconds, MOST_SECONDS)


def _return_told(episodes: Episodes, wrong: Array, max_abs_reward: float) -> str:
    """The first wrong return: ``return 1e+30 in slot 3 after 8 steps: …``."""
    at = int(np.flatnonzero(wrong)[0])
    return (
        f"return {episodes.returns[at]:g} in slot {episodes.slots[at]} after "
        f"{episodes.lengths[at]:,} steps: learner.max_abs_reward is {max_abs_reward:g}"
    )
