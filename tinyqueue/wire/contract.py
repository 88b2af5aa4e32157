"""What a learner requires of every session batch, by its own spaces, never by the sender's.

It is checked once, at the boundary; after that a batch is trusted. Bounds of float spaces are not
enforced: real environments exceed their own, and a Box may also be unbounded. Numbers only have
to be within :mod:`tinyqueue.wire.magnitudes`. Discrete values must be in range, since they
become indices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from tinyqueue.data.masks import ACTION_MASK, allows, allows_something, mask_counts
from tinyqueue.data.names import (
    EPISODE_STEPS,
    PREVIOUS_REWARD,
    carried_action,
    carried_frames,
    carried_state,
)
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Arrays, Leaf, Space
from tinyqueue.errors import MessageError
from tinyqueue.wire.claims import check_episodes, check_pace, clipped_returns
from tinyqueue.wire.magnitudes import (
    ADVICE,
    BEYOND,
    LEAST_LIMIT,
    MOST_LOG_PROBABILITY,
    limit_of,
    require_within,
)

_ROUNDING = 1e-4
"""A float32 log-softmax of a near-certain action can exceed zero by this much."""

_MOST_FAULTS = 8
"""Failures of environments per step: a step can fail, and so can the resets that follow it."""

_FLOAT32 = np.dtype(np.float32)

Kind = Literal["log-probability", "log-density", "value", "mask"]
Rows = Literal["ticks", "ticks+1"]


@dataclass(frozen=True)
class Extra:
    """One array that an action head records.

    Attributes:
        dtype: NumPy name.
        shape: Shape after the time and slot axes.
        rows: ``ticks``, or ``ticks+1`` when the bootstrap row has one too.
        kind: ``log-probability`` is at most 0; ``log-density`` is for continuous actions.
            ``mask`` allows some action in every row.
    """

    dtype: str
    shape: tuple[int, ...] = ()
    rows: Rows = "ticks"
    kind: Kind = "value"


@dataclass(frozen=True)
class Contract:
    """The session batches of one run.

    Attributes:
        experiment, run: The only ones accepted.
        observations, actions: The learner's own spaces.
        ticks, slots: T and B of every batch.
        extras: What the action head records: exactly these must be there.
        max_abs_reward: Largest magnitude of a reward.
        clips: Whether larger rewards are clipped rather than refused. NaN and infinity are always
            refused.
        state: Recurrent state: path → leaf of one slot; ``carry`` must hold ``state/<path>``.
        needs_carry: Whether ``carry`` must also hold what came before tick 0: the episode's steps,
            the previous action and the previous reward.
        stack: Frames that the policy sees at once. Above 1, ``carry`` must hold the episode's steps
            and ``frames/<path>``, the frames before row 0 (``frames`` for the path ``""``).
        seen: Path → the largest magnitude of an observation in the environment's trial.
        info: K, the numbers that episodes have from the environment's info. Episodes without any
            are accepted too.
        info_limits: Key → the largest magnitude at which one of those numbers counts, in their
            order; empty: all of them do.
    """

    experiment: str
    run: str
    observations: Space
    actions: Space
    ticks: int
    slots: int
    extras: Mapping[str, Extra]
    max_abs_reward: float
    clips: bool = False
    state: Mapping[str, Leaf] = field(default_factory=dict)
    needs_carry: bool = False
    stack: int = 1
    seen: Mapping[str, float] = field(default_factory=dict)
    info: int = 0
    info_limits: Mapping[str, float] = field(default_factory=dict)

    @property
    def mask_size(self) -> int:
        """n, the length of the action masks in every batch; 0 without masks."""
        mask = self.extras.get(ACTION_MASK)
        return 0 if mask is None else mask.shape[0]

    def clipped(self, batch: SessionBatch) -> tuple[SessionBatch, str, int]:
        """The batch with its finite rewards clipped to the bound, if this contract clips.

        So are returns of episodes: to the bound in every step.

        Returns:
            The batch; the first reward or return beyond the bound, in words; and how many there
            were.
        """
        if not self.clips:
            return batch, "", 0
        batch, text, count = self._with_clipped_rewards(batch)
        if not len(batch.episodes):
            return batch, text, count
        episodes, of_return, returns = clipped_returns(batch.episodes, self.max_abs_reward)
        if not returns:
            return batch, text, count
        return replace(batch, episodes=episodes), text or of_return, count + returns

    def _with_clipped_rewards(self, batch: SessionBatch) -> tuple[SessionBatch, str, int]:
        rewards, bound = batch.rewards, self.max_abs_reward
        previous = batch.carry.get(PREVIOUS_REWARD)
        carried = rewards if previous is None else previous
        if not rewards.size or {rewards.dtype, carried.dtype} != {_FLOAT32}:
            # Rewards of another dtype are not clipped: check refuses them.
            return batch, "", 0
        before = 0.0 if previous is None or not previous.size else np.abs(previous).max()
        if rewards.max() <= bound and rewards.min() >= -bound and before <= bound:
            return batch, "", 0
        beyond = np.isfinite(rewards) & (np.abs(rewards) > bound)
        text = ""
        if beyond.any():
            text = f"{self._reward_told('rewards', rewards, beyond)}; it is clipped to that"
        carry = dict(batch.carry)
        if previous is not None:
            carry[PREVIOUS_REWARD] = _clip(previous, bound)
        sound = replace(batch, rewards=_clip(rewards, bound), carry=carry)
        return sound, text, int(np.count_nonzero(beyond))

    def check(self, batch: SessionBatch) -> None:
        """Returns if the batch can be trusted.

        Raises:
            MessageError: The first rule that the batch breaks, as a reason code and in words.
        """
        header = batch.header
        if header.experiment != self.experiment:
            raise MessageError("experiment", f"{header.experiment!r} is not {self.experiment!r}")
        if header.run != self.run:
            raise MessageError("run", f"{header.run!r} is not {self.run!r}")
        if len(header.epsilons) not in (0, self.slots):
            raise MessageError("shape", f"{len(header.epsilons)} epsilons for {self.slots} slots")
        if header.faults > _MOST_FAULTS * self.ticks * self.slots:
            raise MessageError("range", f"{header.faults} faults in {self.ticks} ticks")
        self._check_ticks(batch)
        self._check_rewards("rewards", batch.rewards)
        rows = (self.ticks, self.slots)
        more = (self.ticks + 1, self.slots)
        _check_space("observations", self.observations, batch.observations, more)
        _check_space("actions", self.actions, batch.actions, rows)
        _check_names("extras", batch.extras, self.extras)
        for name, extra in self.extras.items():
            axes = rows if extra.rows == "ticks" else more
            array = batch.extras[name]
            _check_type(f"extras/{name}", array, extra.dtype, axes + extra.shape)
            if extra.kind == "log-probability" and not (
                -np.inf < array.min() <= array.max() <= _ROUNDING
            ):
                raise MessageError("probability", f"extras/{name} are not log-probabilities")
            if extra.kind == "mask":
                self._check_mask(name, array, batch)
        if batch.carry or self.state or self.needs_carry or self.stack > 1:
            self._check_carry(batch.carry)
        check_episodes(batch, max_abs_reward=self.max_abs_reward, info=self.info)
        if header.pace is not None:
            check_pace(header.pace, self.ticks * self.slots)
        self.check_magnitudes(batch)

    def check_magnitudes(self, batch: SessionBatch) -> None:
        """Returns if every number that is trained on is finite and within its limit, but rewards.

        Raises:
            MessageError: As :func:`tinyqueue.wire.magnitudes.require_within`.
        """
        for path, leaf in self.observations.items():
            _check_number(
                f"observations/{path}", leaf, batch.observations[path], self.seen.get(path)
            )
        for path, leaf in self.actions.items():
            _check_number(f"actions/{path}", leaf, batch.actions[path])
            if (before := batch.carry.get(carried_action(path))) is not None:
                _check_number(f"carry/{carried_action(path)}", leaf, before)
        for path, leaf in self.observations.items():
            if (frames := batch.carry.get(carried_frames(path))) is not None:
                name = f"carry/{carried_frames(path)}"
                _check_number(name, leaf, frames, self.seen.get(path))
        for path, leaf in self.state.items():
            _check_number(f"carry/{carried_state(path)}", leaf, batch.carry[carried_state(path)])
        # A value is a sum of rewards, whose magnitude the experiment bounds.
        most_value = max(LEAST_LIMIT, BEYOND * self.max_abs_reward)
        for name, extra in self.extras.items():
            # A logged batch may have been played with other extras than those recorded now.
            if (array := batch.extras.get(name)) is None:
                continue
            is_log = extra.kind in ("log-probability", "log-density")
            require_within(f"extras/{name}", array, MOST_LOG_PROBABILITY if is_log else most_value)

    def _check_mask(self, name: str, mask: Array, batch: SessionBatch) -> None:
        counts = mask_counts(self.actions)
        if not allows_something(mask, counts):
            raise MessageError("range", f"extras/{name} allow no action in some row")
        (actions,) = batch.actions.values()
        if not (allows(mask[:-1], actions, counts) | ~batch.valid).all():
            raise MessageError("range", f"extras/{name} do not allow an action that was taken")

    def _check_ticks(self, batch: SessionBatch) -> None:
        """Next-step autoreset: the tick after an episode's end is invalid; all others are valid."""
        shape = (self.ticks, self.slots)
        terminated, truncated, valid = batch.terminated, batch.truncated, batch.valid
        _check_type("rewards", batch.rewards, "float32", shape)
        _check_type("terminated", terminated, "bool", shape)
        _check_type("truncated", truncated, "bool", shape)
        _check_type("valid", valid, "bool", shape)
        ended = terminated | truncated
        if (ended > valid).any():
            raise MessageError("autoreset", "an episode ends on a tick that is not valid")
        if (valid[1:] == ended[:-1]).any():
            raise MessageError(
                "autoreset", "ticks must be invalid right after an episode's end and nowhere else"
            )

    def _check_rewards(self, name: str, rewards: Array) -> None:
        # NaN makes both comparisons false.
        if not (rewards.max() <= self.max_abs_reward and rewards.min() >= -self.max_abs_reward):
            beyond = ~(np.abs(rewards) <= self.max_abs_reward)
            raise MessageError("reward", self._reward_told(name, rewards, beyond))

    def _reward_told(self, name: str, rewards: Array, wrong: Array) -> str:
        """The first wrong reward, with its slot: ``reward -1e+09 in slot 3: …``."""
        place = np.argwhere(wrong)[0]
        return (
            f"{name.removesuffix('s')} {rewards[tuple(place)]:g} in slot {int(place[-1])}: "
            f"learner.max_abs_reward is {self.max_abs_reward:g}"
        )

    def _check_carry(self, carry: Arrays) -> None:
        """Requires ``state/<path>`` and ``frames/<path>``, and the other known names if needed.

        Where they are not needed, those are optional.
        """
        whole = self._whole_carry()
        wanted = list(whole)
        if self.stack > 1:
            wanted.append(EPISODE_STEPS)
        if self.needs_carry:
            wanted += [EPISODE_STEPS, PREVIOUS_REWARD, *map(carried_action, self.actions)]
        absent = [name for name in dict.fromkeys(wanted) if name not in carry]
        if absent:
            raise MessageError("missing", f"carry lacks {', '.join(absent)}")
        for name, (leaf, axes) in whole.items():
            _check_leaf(f"carry/{name}", leaf, carry[name], axes)
        for name, array in carry.items():
            if name not in whole:
                self._check_carried(name, array)

    def _check_carried(self, name: str, array: Array) -> None:
        """What goes with any state and frames: steps, the previous reward and action."""
        slots = (self.slots,)
        actions = {carried_action(path): leaf for path, leaf in self.actions.items()}
        if name == EPISODE_STEPS:
            _check_type("carry/episode_steps", array, "int32", slots)
            if array.min() < 0:
                raise MessageError("range", "carry/episode_steps holds a negative count")
        elif name == PREVIOUS_REWARD:
            _check_type("carry/previous_reward", array, "float32", slots)
            self._check_rewards("carry/previous_reward", array)
        elif name in actions:
            _check_leaf(f"carry/{name}", actions[name], array, slots)
        else:
            raise MessageError("unknown", f"carry holds {name[:64]!r}")

    def _whole_carry(self) -> dict[str, tuple[Leaf, tuple[int, ...]]]:
        """Everything that must be carried for each slot: name → leaf and the axes before it."""
        whole: dict[str, tuple[Leaf, tuple[int, ...]]] = {
            carried_state(path): (leaf, (self.slots,)) for path, leaf in self.state.items()
        }
        if self.stack > 1:
            axes = (self.slots, self.stack - 1)
            whole |= {
                carried_frames(path): (leaf, axes) for path, leaf in self.observations.items()
            }
        return whole


def _clip(rewards: Array, bound: float) -> Array:
    """Rewards within ±bound. NaN and infinity stay, for the check to refuse."""
    return np.where(np.isfinite(rewards), np.clip(rewards, -bound, bound), rewards)


def _check_names(group: str, found: Arrays, wanted: Mapping[str, object]) -> None:
    if found.keys() != wanted.keys():
        absent = sorted(wanted.keys() - found.keys())
        surplus = [name[:64] for name in sorted(found.keys() - wanted.keys())]
        if absent:
            raise MessageError("missing", f"{group} lack {absent}; unknown: {surplus}")
        raise MessageError("unknown", f"{group} hold {surplus}")


def _check_space(group: str, space: Space, found: Arrays, axes: tuple[int, ...]) -> None:
    _check_names(group, found, space)
    for path, leaf in space.items():
        _check_leaf(f"{group}/{path}", leaf, found[path], axes)


def _check_leaf(name: str, leaf: Leaf, array: Array, axes: tuple[int, ...]) -> None:
    _check_type(name, array, leaf.dtype, axes + leaf.shape)
    if leaf.is_discrete:
        if array.max() >= leaf.n or (array.dtype.kind == "i" and array.min() < 0):
            raise MessageError("range", f"{name} holds a value outside 0 … {leaf.n - 1}")
        if leaf.nvec and (array >= np.reshape(leaf.nvec, leaf.shape)).any():
            raise MessageError("range", f"{name} holds a value that its entry does not have")


def _check_number(name: str, leaf: Leaf, array: Array, seen: float | None = None) -> None:
    if not leaf.is_discrete:
        require_within(name, array, limit_of(leaf, seen or 0.0), ADVICE)


def _check_type(name: str, array: Array, dtype: str, shape: tuple[int, ...]) -> None:
    if array.dtype != dtype:
        raise MessageError("dtype", f"{name} is {array.dtype}, not {dtype}")
    if array.shape != shape:
        raise MessageError("shape", f"{name} is {array.shape}, not {shape}")
