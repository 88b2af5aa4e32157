"""Single environments side by side, where one can fail without affecting the others.

It works like Gymnasium's SyncVectorEnv with next-step autoreset, but tolerates imperfect
environments: observations and rewards are cast if they fit, infos are ignored except for action
masks, and an environment that raises, hangs or breaks its spaces is closed and built again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import structlog
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, iterate

from tinyqueue.data.masks import ACTION_MASK
from tinyqueue.data.pace import Pace
from tinyqueue.data.seeds import seed32
from tinyqueue.data.spaces import Array
from tinyqueue.envs.faults import (
    ONLY_ONE,
    BrokenRuleError,
    HangError,
    advised,
    failed,
    is_environments,
    place_of,
)
from tinyqueue.envs.hanging import HANG_S, Alarm
from tinyqueue.envs.masks import Masks
from tinyqueue.envs.observed import Observed
from tinyqueue.envs.paced import take_pace
from tinyqueue.envs.results import first_observation, step_values
from tinyqueue.envs.spaces import Layout, action_layout
from tinyqueue.errors import ConfigError, EnvironmentFailedError

MOST_FAILURES = 5
"""Failures in a row in one slot: with no step between them, or all at the same step of an episode,
and with no episode between them that ended by itself. The last one is raised."""

CLOSE_S, LATER_CLOSE_S = 5.0, 0.05
"""How long an environment may take to close, and how long once another one has hung there."""

_CONSTRUCTOR = "its constructor"
SPACES = "spaces"
"""Kind of the failure that spaces differ between slots, which is never chance."""
_NOTHING, _CUT = (0.0, False, False), (0.0, False, True)
# Reward, terminated, truncated.

log = structlog.get_logger(__name__)


class Faults(NamedTuple):
    """How many calls of environments failed, and what the last one said."""

    number: int
    last: str


class SideBySide(VectorEnv[Any, Any, Any]):
    """Environments stepped one after another, each resetting itself on the step after its end.

    When a slot fails in a step, its environment is closed and a new one built. Only a step can
    report an episode's end, so that exactly the ticks after an end are invalid:

    * After a step of the same batch that did not end the episode, this tick shows the new
      environment's first observation, and :attr:`restarted` holds the slot: the caller marks the
      previous tick as truncated, which makes this one an autoreset tick.
    * Otherwise (on the first tick of a batch or an episode) this tick itself is truncated, with
      zero reward and the last observation repeated, and the next one is the autoreset tick.
    * On an autoreset tick the new environment's first observation is shown like any other.

    Args:
        make: Builds the environment of a slot.
        slots: B, at least 1.
        name: Name of the environment, for errors.
        hang_s: How long one call may take; 30 s if None.
        masks: Makes the store of action masks from the action space; None if there are none.

    Attributes:
        envs: The environment of each slot; None while it has to be built anew.
        restarted: Slots whose episode turned out to have ended on the previous tick.
        infos: The info of each slot's last step, as the environment gave it; None after a failure.
        has_mask_in_info: Whether the last reset's info has the key ``action_mask``.

    Raises:
        EnvironmentFailedError: One of them cannot be built; those built before it are closed.
        ConfigError: Its spaces are not supported.
    """

    def __init__(
        self,
        make: Callable[[int], gymnasium.Env[Any, Any]],
        slots: int,
        name: str,
        hang_s: float | None = None,
        masks: Callable[[gymnasium.Space[Any]], Masks | None] = lambda actions: None,
    ) -> None:
        self._make, self._name, self._make_masks = make, name, masks
        self._hang_s = HANG_S if hang_s is None else hang_s
        self._alarm = Alarm(self._hang_s)
        self.envs: list[gymnasium.Env[Any, Any] | None] = [None] * slots
        self.num_envs = slots
        self._steps, self._failed_at, self._in_a_row = [0] * slots, [0] * slots, [0] * slots
        self._seeds: list[int | None] = [None] * slots
        self._faulted: set[int] = set()
        self._logged: set[tuple[str, str]] = set()
        self._renewals, self._is_built = 0, False
        self._count, self._last = 0, ""
        self.restarted: list[int] = []
        self.has_mask_in_info = False
        self.infos: list[Any] = [None] * slots
        self._observed: Observed
        self._before: Observed
        self._masks: Masks | None
        self._masks_before: Masks | None
        try:
            with self._alarm:
                self._lay_out(self._build(0))
                for slot in range(1, slots):
                    self._build(slot)
        except BaseException:
            self.close()
            raise
        self._is_built = True
        self.render_mode = None
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
        self._results = [_NOTHING] * slots
        self._ended, self._unmarkable = [False] * slots, [True] * slots

    @property
    def action_masks(self) -> Array | None:
        """``[B, n]`` bool, the valid actions in the states shown last; None without masks.

        The call after the next overwrites it.
        """
        return None if self._masks is None else self._masks.values

    def take_faults(self) -> Faults:
        """The failures since the last call of this method."""
        faults = Faults(self._count, self._last)
        self._count, self._last = 0, ""
        return faults

    def take_pace(self) -> Pace | None:
        """How soon actions came since the last call; None unless the environment is timed."""
        return take_pace(self.envs)

    def begin_batch(self) -> None:
        """Begins a batch: earlier ticks can no longer be marked as truncated."""
        self._unmarkable = [True] * self.num_envs
        self._alarm.allow(self._hang_s)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """First observations of all slots.

        Args:
            seed: One per slot; None leaves the choice to the environments.
            options: Not used.
        """
        if seed is None or isinstance(seed, int):
            seed = [None if seed is None else seed + slot for slot in range(self.num_envs)]
        self._seeds = list(seed)
        with self._alarm:
            for slot in range(self.num_envs):
                self._begin(slot, self._seeds[slot])
        self._ended, self._unmarkable = [False] * self.num_envs, [True] * self.num_envs
        return self._observed.values, {}

    def step(self, actions: Any) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        """Steps every slot, or resets it if its last step ended its episode.

        Returns:
            Observations, which the call after the next overwrites; rewards, terminated and
            truncated, each ``[B]``; and an empty info.

        Raises:
            EnvironmentFailedError: A slot failed :data:`MOST_FAILURES` times in a row.
        """
        self._observed, self._before = self._before, self._observed
        self._masks, self._masks_before = self._masks_before, self._masks
        self.restarted = []
        self._faulted.clear()
        alarm, take, envs, steps = self._alarm, self._observed.take, self.envs, self._steps
        ended, results, clock = self._ended, self._results, time.monotonic
        masks = self._masks
        with alarm:
            for slot, action in enumerate(iterate(self.action_space, actions)):
                if ended[slot]:
                    results[slot] = _NOTHING
                    self._begin(slot)
                    continue
                alarm.began_s = clock()
                try:
                    given = envs[slot].step(action)  # type: ignore[union-attr]
                    observation, results[slot] = step_values(given)
                    take(slot, observation)
                    self.infos[slot] = given[4]
                    if masks is not None:
                        masks.take(slot, given[4], is_over=True in results[slot][1:])
                except BaseException as error:
                    self._failed_step(slot, error)
                else:
                    steps[slot] += 1
            for slot, wrong in self._observed.check().items():
                steps[slot] -= 1
                self._failed_step(slot, wrong)
        rewards, terminated, truncated = (np.array(column) for column in zip(*results, strict=True))
        self._note_ends((terminated | truncated).tolist())
        return self._observed.values, rewards, terminated, truncated, {}

    def close(self, **kwargs: Any) -> None:
        """Closes every environment; what one of them raises is logged."""
        self._alarm.end()
        close_all(self.envs, self._name)
        self.envs = [None] * self.num_envs
        self.closed = True

    def _lay_out(self, first: gymnasium.Env[Any, Any]) -> None:
        """Takes the first environment's spaces as those of all."""
        slots, name = self.num_envs, self._name
        # Refuses spaces that are not supported.
        Layout(first.observation_space, f"the observations of {name}")
        action_layout(first.action_space, name)
        self.single_observation_space = first.observation_space
        self.single_action_space = first.action_space
        self.observation_space = batch_space(first.observation_space, slots)
        self.action_space = batch_space(first.action_space, slots)
        self._observed, self._before = (Observed(first.observation_space, slots) for _ in range(2))
        self._masks, self._masks_before = (self._make_masks(first.action_space) for _ in range(2))

    def _build(self, slot: int) -> gymnasium.Env[Any, Any]:
        """Builds a slot's environment, trying again if that fails."""
        while True:
            self._alarm.began_s = time.monotonic()
            try:
                built = self.envs[slot] = self._make(slot)
                if slot or self._is_built:
                    self._require_same_spaces(built)
                return built
            except BaseException as error:
                self._fault(slot, _CONSTRUCTOR, error)

    def _require_same_spaces(self, built: gymnasium.Env[Any, Any]) -> None:
        for name in ("observation_space", "action_space"):
            here, wanted = getattr(built, name), getattr(self, f"single_{name}")
            if here != wanted:
                raise BrokenRuleError(SPACES, f"{name} is {here}, but slot 0 has {wanted}")

    def _begin(self, slot: int, seed: int | None = None) -> None:
        """Starts an episode in a slot, in a new environment if the old one fails or is gone."""
        self._steps[slot] = 0
        while True:
            environment = self.envs[slot]
            if environment is None:
                environment, seed = self._build(slot), self._renewed_seed(slot)
            self._alarm.began_s = time.monotonic()
            try:
                result = environment.reset() if seed is None else environment.reset(seed=seed)
                self._observed.take(slot, first_observation(result))
                self._observed.check_slot(slot)
                if self._masks is not None:
                    self._masks.take(slot, result[1])
                self.has_mask_in_info = isinstance(result[1], Mapping) and ACTION_MASK in result[1]
                return
            except BaseException as error:
                self._fault(slot, "reset", error)

    def _renewed_seed(self, slot: int) -> int | None:
        self._renewals += 1
        seed = self._seeds[slot]
        return None if seed is None else seed32(seed, self._renewals)

    def _failed_step(self, slot: int, error: BaseException) -> None:
        """Ends the episode of a slot whose step failed, as the class docstring says."""
        self._fault(slot, f"step {self._steps[slot] + 1}", error)
        self._faulted.add(slot)
        self._results[slot] = _NOTHING
        self.infos[slot] = None
        if self._unmarkable[slot]:
            self._results[slot] = _CUT
            self._observed.repeat(slot, self._before)
            if self._masks is not None and self._masks_before is not None:
                self._masks.repeat(slot, self._masks_before)
        else:
            self._begin(slot)
            self.restarted.append(slot)

    def _note_ends(self, ended: list[bool]) -> None:
        self._unmarkable = self._ended
        for slot in self.restarted:
            self._unmarkable[slot] = True
        self._ended = ended
        if True in ended:
            for slot in range(self.num_envs):
                if ended[slot] and slot not in self._faulted:
                    self._in_a_row[slot] = 0

    def _fault(self, slot: int, doing: str, error: BaseException) -> None:
        """Counts a failure and closes the slot's environment.

        Raises:
            BaseException: The error itself, if it is not the environment's fault; an
                EnvironmentFailedError if it is one too many.
        """
        self._alarm.began_s = time.monotonic()
        failure = self._explained(slot, doing, error)
        if failure is None:
            raise error
        self._count += 1
        self._last = str(failure)
        if isinstance(error, HangError):
            # If one hangs the others may, and all must end within the task's limit.
            self._alarm.allow(self._hang_s / self.num_envs)
        steps = self._steps[slot]
        again = steps in (0, self._failed_at[slot])
        self._in_a_row[slot] = self._in_a_row[slot] + 1 if again else 1
        self._failed_at[slot] = steps
        self._close(slot)
        if (failure.kind, failure.place) not in self._logged:
            self._logged.add((failure.kind, failure.place))
            log.warning("environment closed and built again", fault=self._last)
            log.info(failure.traceback)
        if failure.kind == SPACES:
            raise failure from error
        if self._in_a_row[slot] >= MOST_FAILURES:
            if slot and doing == _CONSTRUCTOR and ONLY_ONE not in self._last:
                failure = advised(failure, ONLY_ONE)
            raise failure from error

    def _explained(
        self, slot: int, doing: str, error: BaseException
    ) -> EnvironmentFailedError | None:
        """The error for an environment's failure; None if it is not the environment's fault."""
        if isinstance(error, EnvironmentFailedError):
            return error
        environment = self.envs[slot]
        place = ""
        if environment is not None:
            place = place_of(environment, doing.partition(" ")[0])
        if isinstance(error, ConfigError) and self._is_built:
            # It was built before, with the same arguments.
            return failed(error.__cause__ or error, self._name, f"{doing} in slot {slot}")
        if not is_environments(error):
            return None
        return failed(error, self._name, f"{doing} in slot {slot}", place=place)

    def _close(self, slot: int) -> None:
        environment, self.envs[slot] = self.envs[slot], None
        if environment is None:
            return
        self._alarm.began_s = time.monotonic()
        close(environment, self._name)


def close(environment: gymnasium.Env[Any, Any], name: str) -> bool:
    """Closes an environment; what it raises is only logged.

    Returns:
        Whether it had to be interrupted.
    """
    try:
        environment.close()
    except BaseException as error:
        if not is_environments(error):
            raise
        log.warning("an environment failed in close", fault=str(failed(error, name, "close")))
        return isinstance(error, HangError)
    return False


def close_all(environments: Iterable[gymnasium.Env[Any, Any] | None], name: str) -> None:
    """Closes environments.

    After one hangs, the others get little time: there may be a hundred of them, and somebody is
    waiting.
    """
    most_s = CLOSE_S
    for environment in environments:
        if environment is None:
            continue
        alarm = Alarm(most_s)
        try:
            with alarm:
                alarm.began_s = time.monotonic()
                if close(environment, name):
                    most_s = LATER_CLOSE_S
        finally:
            alarm.end()
