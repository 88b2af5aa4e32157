"""A trial of an environment before anything else starts: it is built, reset and stepped.

Mistakes are found here, within seconds, rather than in a player's log; and what is measured
decides how many environments and ticks make up a session batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.vector import VectorEnv

from tinyqueue.data.spaces import Space
from tinyqueue.envs.build import first_seed, make_vector, reset_seeded
from tinyqueue.envs.entangled import are_entangled
from tinyqueue.envs.faults import ONLY_ONE, advised
from tinyqueue.envs.masks import offered_mask
from tinyqueue.envs.names import find_environment
from tinyqueue.envs.random_steps import RandomSteps, Telling, explained
from tinyqueue.envs.resident import resident_bytes
from tinyqueue.envs.results import require_finite
from tinyqueue.envs.side_by_side import SPACES, SideBySide
from tinyqueue.envs.spaces import Layout, action_layout, are_equal, empty
from tinyqueue.errors import EnvironmentFailedError, TinyqueueError
from tinyqueue.experiment.environment import EnvironmentConfig

PATIENCE_S = 90.0
"""Limit for one call, if none was set."""
MOST_FAULTS = 3
"""A trial of about a hundred steps with this many faults is refused; a rare fault is tolerated."""
SEEDS = (1, 2)
"""A fault with both seeds is refused. With only one it may be rare, and a stage survives it."""


@dataclass(frozen=True)
class Trial:
    """What was measured. Seconds are wall time of one environment on an idle machine.

    Attributes:
        slots: Environments that were played side by side.
        build_s: Time to build one.
        reset_s: Time to reset one.
        step_s: Mean time of one step, including resets.
        slowest_step_s: Longest step of one.
        slot_bytes: Memory that each additional one takes.
        rewards: Smallest and largest reward.
        episode_steps: Mean length of the episodes that ended; None if none did.
        observed: Path → the largest magnitude of an observation.
        info: Key, or path of one within tables, → the largest magnitude of a number in ``info``.
        single: Why a second one could not exist next to the first; empty if it could.
        entangled: Whether what one does changes what another in the same process shows.
        remarks: What a person should know, in sentences.
    """

    slots: int
    build_s: float
    reset_s: float
    step_s: float
    slowest_step_s: float
    slot_bytes: int
    rewards: tuple[float, float]
    episode_steps: float | None = None
    observed: Mapping[str, float] = field(default_factory=dict)
    info: Mapping[str, float] = field(default_factory=dict)
    single: str = ""
    entangled: bool = False
    remarks: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON object that :meth:`from_json` turns back into an equal trial."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Trial:
        """The trial that :meth:`to_json` wrote."""
        lists = {"rewards": tuple(value["rewards"]), "remarks": tuple(value["remarks"])}
        return cls(**{**value, **lists})


@dataclass(frozen=True)
class Tried:
    """The spaces of one environment as data, and what its trial measured."""

    observations: Space
    actions: Space
    trial: Trial


def alone(environment_id: str, modules: Sequence[str], seed: int = SEEDS[0]) -> str:
    """A command with which a person can try an environment by itself.

    Args:
        environment_id: Its id.
        modules: Modules that register environments.
        seed: The seed of the trial; the command's is the one that its first environment got.
    """
    imports = ", ".join(("gymnasium", *modules))
    reset = f"reset(seed={first_seed(seed)})"
    return f'python -c "import {imports}; gymnasium.make({environment_id!r}).{reset}"'


def try_out(
    config: EnvironmentConfig,
    telling: Telling = lambda doing: None,
    modules: Sequence[str] = (),
) -> Tried:
    """Plays two environments side by side, or one if a second cannot exist.

    Args:
        config: The environment.
        telling: Called before each thing that may take long, with what it is.
        modules: Modules that register environments, for the command that a person is advised to
            try.

    Raises:
        EnvironmentFailedError: It raises, or returns values outside its spaces, with two seeds.
        UnknownNameError, ConfigError, MissingExtraError: It cannot be built, or its spaces are
            not supported.
    """
    # Anything longer is ended by the process that waits for this one.
    config = config.model_copy(update={"hang_s": config.hang_s or PATIENCE_S})
    _load_code(config, find_environment(config.id), telling)
    doubted = ""
    slots, single = 2, ""
    for attempt, seed in enumerate(SEEDS):
        try:
            return _with_doubt(_play(config, slots, seed, single, telling), doubted)
        except _NotBuiltError as error:
            if attempt or slots == 1 or is_of_its_interface(error.cause):
                raise _with_advice(error.cause, alone(config.id, modules, seed)) from error
            single, slots = str(error.cause).partition(f". {ONLY_ONE}")[0], 1
        except EnvironmentFailedError as error:
            if attempt or is_of_its_interface(error):
                raise
            doubted = str(error).removesuffix(".")
    return _with_doubt(_play(config, slots, SEEDS[0] + len(SEEDS), single, telling), doubted)


def _with_doubt(tried: Tried, doubted: str) -> Tried:
    """Also tells of a fault with another seed, unless faults of this one are told already."""
    if not doubted or tried.trial.remarks:
        return tried
    remark = f"{doubted}. It did not happen with another seed; players carry on after such faults"
    return replace(tried, trial=replace(tried.trial, remarks=(remark,)))


def _with_advice(error: TinyqueueError, command: str) -> TinyqueueError:
    """An environment that cannot even be built by itself is best tried by itself."""
    if not isinstance(error, EnvironmentFailedError) or is_of_its_interface(error):
        return error
    return advised(error, f"Correct it, or try it by itself: {command}")


def is_of_its_interface(error: TinyqueueError) -> bool:
    """Whether this cannot be chance, so that a second attempt would show nothing new."""
    return isinstance(error, EnvironmentFailedError) and error.kind in ("old-api", SPACES)


class _NotBuiltError(Exception):
    """Environments of a trial could not be built or reset for the first time."""

    def __init__(self, cause: TinyqueueError) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _load_code(config: EnvironmentConfig, spec: EnvSpec, telling: Telling) -> None:
    """Imports the environment's code first, so that this does not count as time to build one."""
    if config.atari or not isinstance(spec.entry_point, str):
        return
    telling(f"importing {spec.entry_point}")
    try:
        load_env_creator(spec.entry_point)
    except Exception:
        # Building fails in the same way, and says why.
        return


def _play(
    config: EnvironmentConfig,
    slots: int,
    seed: int,
    single: str,
    telling: Telling,
) -> Tried:
    telling(f"building {config.id}")
    before_bytes, began_s = resident_bytes(), time.perf_counter()
    doing = f"building {slots} side by side" if slots > 1 else "building"
    with _not_built(), explained(config.id, doing):
        vector = make_vector(config, slots, building=_tell_second(telling, config.id))
    try:
        built_s = time.perf_counter() - began_s
        observed = Layout(vector.single_observation_space, f"the observations of {config.id}")
        acted = action_layout(vector.single_action_space, config.id)
        telling(f"resetting {config.id}")
        began_s = time.perf_counter()
        with _not_built(), explained(config.id, "reset"):
            first = reset_seeded(vector, seed)
        reset_s = (time.perf_counter() - began_s) / slots
        slot_bytes = max(0, resident_bytes() - before_bytes) // slots
        rows = empty(observed.space, slots)
        with explained(config.id, "reset"):
            observed.write(first, rows)
        require_finite(config.id, "reset", rows)
        steps = RandomSteps(config.id, vector, observed, seed)
        steps.look(rows)
        hint = _mask_hint(config, vector, acted.space)
        with _hinted(hint):
            steps.play(telling)
        _require_kept_spaces(config.id, vector, observed.space, acted.space)
        faults = vector.take_faults() if isinstance(vector, SideBySide) else None
        if faults is not None and faults.number >= MOST_FAULTS:
            raise EnvironmentFailedError(
                f"{faults.last}. {_calls(faults.number)} failed in {steps.count} steps of {slots} "
                f"environments: correct it, or wrap it{hint and f'. {hint}'}",
                kind="many-faults",
            )
        remarks: tuple[str, ...] = ()
        if faults is not None and faults.number:
            remarks = (
                f"{faults.last}. {_calls(faults.number)} failed in the trial: such an environment "
                f"is built again while the others carry on{hint and f'. {hint}'}",
            )
        # Slots that own their clock wait for it side by side.
        one_by_one = 1 if config.realtime else slots
        step_s = steps.tick_s / one_by_one
        entangled = (
            isinstance(vector, SideBySide)
            and slots > 1
            and not (config.realtime or config.action_mask)
            and are_entangled(vector, observed, seed, step_s)
        )
        trial = Trial(
            slots=slots,
            build_s=built_s / slots,
            reset_s=reset_s,
            step_s=step_s,
            slowest_step_s=steps.slowest_s / one_by_one,
            slot_bytes=slot_bytes,
            rewards=(steps.lowest, steps.highest),
            episode_steps=steps.count * slots / steps.ended if steps.ended else None,
            observed=steps.largest,
            info=steps.info,
            single=single,
            entangled=entangled,
            remarks=remarks,
        )
        return Tried(observed.space, acted.space, trial)
    finally:
        with explained(config.id, "close"):
            vector.close()


def _require_kept_spaces(
    name: str, vector: VectorEnv[Any, Any, Any], seen: Space, acted: Space
) -> None:
    """Refuses an environment that no longer has the spaces of its first observation.

    Bounds of what it observes may change: they are not enforced.
    """
    if not isinstance(vector, SideBySide):
        return
    for environment in filter(None, vector.envs):
        now_seen = Layout(environment.observation_space, f"the observations of {name}").space
        now_acted = action_layout(environment.action_space, name).space
        changed = {
            "observation_space": (_unbounded(seen), _unbounded(now_seen)),
            "action_space": (acted, now_acted),
        }
        for space, (before, now) in changed.items():
            if not are_equal(before, now):
                raise EnvironmentFailedError(
                    f"{name} changes its {space} to {getattr(environment, space)} while it plays. "
                    "Policies are built for the one that its constructor sets: let it be the right "
                    "one, or wrap the environment",
                    kind=SPACES,
                )


def _unbounded(space: Space) -> Space:
    return {path: replace(leaf, low=None, high=None) for path, leaf in space.items()}


def _calls(number: int) -> str:
    return "1 call" if number == 1 else f"{number} calls"


def _tell_second(telling: Telling, name: str) -> Callable[[int], None]:
    """Tells of the second one, so that the time of the first is known before it is built."""
    built: set[int] = set()

    def building(slot: int) -> None:
        # One that has failed is built anew amid the steps, and they are what is going on then.
        if slot == 1 and slot not in built:
            telling(f"building {name} a second time")
        built.add(slot)

    return building


def _mask_hint(config: EnvironmentConfig, vector: VectorEnv[Any, Any, Any], actions: Space) -> str:
    """Advice if steps fail, as they do where random actions are not valid; or nothing."""
    if config.action_mask is not None or not isinstance(vector, SideBySide):
        return ""
    offered = offered_mask(
        vector.single_observation_space, actions, in_info=vector.has_mask_in_info
    )
    if not offered:
        return ""
    return (
        "If the action was not valid, use the environment's action mask: try "
        f"--set 'environment.action_mask=\"{offered}\"'"
    )


@contextmanager
def _hinted(hint: str) -> Iterator[None]:
    """Adds the hint, if there is one, to an environment's fault."""
    try:
        yield
    except EnvironmentFailedError as error:
        raise (advised(error, hint) if hint else error) from error


@contextmanager
def _not_built() -> Iterator[None]:
    """Marks errors inside it that may mean there is no room for a second environment."""
    try:
        yield
    except EnvironmentFailedError as error:
        raise _NotBuiltError(error) from error
