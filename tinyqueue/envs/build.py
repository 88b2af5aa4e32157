"""Building environments from an experiment's configuration."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import gymnasium
import structlog
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from tinyqueue.data.seeds import seed32
from tinyqueue.envs.atari import make_game, make_slots, slower_because
from tinyqueue.envs.atari_slots import AtariSlots
from tinyqueue.envs.dropped import drop
from tinyqueue.envs.faults import ONLY_ONE, advised, failed, is_environments, user_place, words
from tinyqueue.envs.kept import keep, keep_of_all
from tinyqueue.envs.known_packages import known_package
from tinyqueue.envs.masks import make_masks, with_mask_in_info
from tinyqueue.envs.names import find_environment
from tinyqueue.envs.paced import Paced
from tinyqueue.envs.side_by_side import SideBySide
from tinyqueue.envs.slot_numbers import LOOKED_AT, is_numbered, numbered
from tinyqueue.envs.wrapped import apply_wrappers
from tinyqueue.errors import ConfigError, MissingExtraError
from tinyqueue.experiment.environment import EnvironmentConfig

_RESERVED = ("id", "num_envs", "max_episode_steps", "disable_env_checker", "vectorization_mode",
             "vector_kwargs", "wrappers")  # fmt: skip
_EXTRAS = {"gymnasium.envs.box2d": "box2d", "ale_py": "atari"}
# Package of an entry point → the extra that installs what it imports.

_LACKS = re.compile(
    r"^(\S+)\.__init__\(\) missing \d+ required \S+ arguments?: "
    r"('\w+'(?:(?:, | and |, and )'\w+')*)"
)

_TAKEN = (errno.EADDRINUSE, errno.EBUSY, errno.EAGAIN)
# The system's errors for a port, a device or a lock that another environment holds.

log = structlog.get_logger(__name__)


def make_environment(
    config: EnvironmentConfig,
    *,
    whole_games: bool = False,
    number: int = LOOKED_AT,
    **kwargs: Any,
) -> gymnasium.Env[Any, Any]:
    """One environment.

    Args:
        config: The environment, with its keyword arguments, wrappers and step limit, if any.
        whole_games: Do not end an episode at a lost life of an Atari game, for evaluation.
        number: The environment's number on this machine, for ``{slot}`` in its arguments.
        kwargs: Further keyword arguments, such as ``render_mode``.

    Raises:
        UnknownNameError, ConfigError, MissingExtraError: It cannot be built here; the text
            says why and what to do.
        EnvironmentFailedError: Its constructor raised something else.
    """
    config = config.model_copy(update={"kwargs": numbered(config.kwargs, number)})
    spec = find_environment(config.id)
    environment: gymnasium.Env[Any, Any]
    with _explained(config, spec):
        if config.atari:
            environment = make_game(config, spec, whole_games=whole_games, **kwargs)
        else:
            environment = gymnasium.make(
                spec,
                max_episode_steps=config.max_episode_steps,
                disable_env_checker=True,
                **config.kwargs,
                **kwargs,
            )
    if config.realtime:
        environment = Paced(environment, config.tick_s)
    environment = apply_wrappers(environment, config.wrappers, config.id)
    if config.mask_path is not None:
        environment = with_mask_in_info(environment, config.mask_path)
    if config.drop is not None:
        environment = drop(environment, config.drop)
    return environment if config.keep is None else keep(environment, config.keep)


def make_vector(
    config: EnvironmentConfig,
    slots: int,
    *,
    first: int = LOOKED_AT,
    building: Callable[[int], None] = lambda slot: None,
) -> VectorEnv[Any, Any, Any]:
    """``slots`` environments side by side that reset themselves on the step after an end.

    An environment's own vectorised form is used if it plays the same, with next-step autoreset and
    equal spaces (CartPole is 13 times as fast with it), and Atari's if it supports every setting.
    Observations may be a buffer that the next step overwrites.

    Args:
        config: The environment.
        slots: Number of environments.
        first: The number of the first, for ``{slot}`` in keyword arguments.
        building: Called before a slot's environment is built, also if it is built anew.

    Raises:
        UnknownNameError, ConfigError, MissingExtraError, EnvironmentFailedError: As
            :func:`make_environment`.
    """
    vectorised = make_vectorised(config, slots)
    if vectorised is not None:
        return vectorised

    def make(slot: int) -> gymnasium.Env[Any, Any]:
        building(slot)
        return make_environment(config, number=first + slot)

    return SideBySide(
        make, slots, config.label, config.hang_s, masks=partial(make_masks, config, slots=slots)
    )


def slower_form(config: EnvironmentConfig) -> str | None:
    """A remark for a person whose settings rule out a game's faster form, or None."""
    reasons = slower_because(config) if config.atari else []
    if not reasons:
        return None
    return (
        "played through Gymnasium's wrappers, about half as fast as ale-py's vector environment, "
        f"which lacks {', '.join(reasons)}"
    )


def make_vectorised(
    config: EnvironmentConfig, slots: int, *, whole_games: bool = False
) -> VectorEnv[Any, Any, Any] | None:
    """The environment's own vectorised form, or None if it has none that plays the same.

    Args:
        config, whole_games: As for :func:`make_environment`.
        slots: Environments side by side.

    Raises:
        UnknownNameError, ConfigError, MissingExtraError: As :func:`make_environment`.
    """
    spec = find_environment(config.id)
    if config.atari and not config.realtime:
        remark = slower_form(config)
        if remark is not None:
            log.info(remark, environment=config.id)
            return None
        with _explained(config, spec):
            return make_slots(config, spec, slots, whole_games=whole_games)
    if not _has_plain_vector(config, spec):
        return None
    single = make_environment(config)
    spaces = single.observation_space, single.action_space
    single.close()
    arguments: dict[str, Any] = dict(config.kwargs)
    if config.max_episode_steps:
        arguments["max_episode_steps"] = config.max_episode_steps
    try:
        vector = gymnasium.make_vec(
            spec,
            num_envs=slots,
            vectorization_mode="vector_entry_point",
            **arguments,
        )
    except Exception as error:
        if not is_environments(error):
            # Such as the time limit of the task that builds it.
            raise
        # The single environment was built with the same arguments, so only this form is at fault.
        log.info("its vectorised form is not used", environment=config.id, error=repr(error))
        return None
    if config.keep is not None:
        try:
            vector = keep_of_all(vector, config.keep)
        except ConfigError:
            vector.close()
            return None
    same = (vector.single_observation_space, vector.single_action_space) == spaces
    if same and vector.metadata.get("autoreset_mode") == AutoresetMode.NEXT_STEP:
        # Heads choose within the space by construction, and the learner checks every action.
        # Checking it here at every tick would cost 10 of CartPole's 48 µs at 64 slots.
        setattr(vector.action_space, "contains", _anything)  # noqa: B010
        return vector
    vector.close()
    return None


def _has_plain_vector(config: EnvironmentConfig, spec: EnvSpec) -> bool:
    """Whether it has a vectorised form, and needs nothing that such a form cannot do.

    An environment that owns its clock is timed step by step.
    """
    if spec.vector_entry_point is None or spec.additional_wrappers:
        return False
    needs_its_own = config.wrappers or config.drop or config.action_mask or config.realtime
    return not needs_its_own and not is_numbered(config.kwargs)


def reset_seeded(vector: VectorEnv[Any, Any, Any], seed: int, *path: int) -> Any:
    """Resets every slot and returns the first observations.

    Args:
        vector: The environments.
        seed, path: As for :func:`tinyqueue.data.seeds.generator`. Each slot's seed is derived from
            them, or one seed for all if the environment draws for all slots at once.
    """
    if isinstance(vector, SideBySide | SyncVectorEnv | AtariSlots):
        seeds = [seed32(seed, *path, slot) for slot in range(vector.num_envs)]
        return vector.reset(seed=list(seeds))[0]
    return vector.reset(seed=seed32(seed, *path))[0]


def first_seed(seed: int, *path: int) -> int:
    """The seed that :func:`reset_seeded` gives the environment of the first slot."""
    return seed32(seed, *path, 0)


def _anything(actions: object) -> bool:
    return True


def _lacking(error: BaseException, spec: EnvSpec) -> str:
    """How to give the arguments that a constructor lacks; empty if that is not what is wrong."""
    found, entry = _LACKS.match(str(error)), spec.entry_point
    made_by = entry.rpartition(":")[2] if isinstance(entry, str) else entry
    name = made_by if isinstance(made_by, str) else getattr(made_by, "__qualname__", "")
    if found is None or found[1] != name:
        return ""
    names = re.findall(r"\w+", found[2].replace(" and ", " "))
    return "Give it " + " ".join(f"--set environment.kwargs.{name}=VALUE" for name in names)


@contextmanager
def _explained(config: EnvironmentConfig, spec: EnvSpec) -> Iterator[None]:
    """Turns what goes wrong while an environment is built into errors for the user."""
    reserved = sorted(set(config.kwargs) & set(_RESERVED))
    if reserved:
        raise ConfigError(
            f"environment.kwargs has {', '.join(reserved)}, which tinyqueue sets itself. Remove "
            "it; to limit episodes, use environment.max_episode_steps."
        )
    try:
        yield
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        entry = spec.entry_point if isinstance(spec.entry_point, str) else ""
        extra = next((_EXTRAS[name] for name in _EXTRAS if entry.startswith(name)), None)
        if extra is not None:
            raise MissingExtraError(extra, f"the environment {config.id}") from error
        package = known_package(config.id)
        how = f'. They come with: pip install "{package.install}"' if package else ""
        raise ConfigError(
            f"the environment {config.id} needs packages that are not installed here: {error}{how}"
        ) from error
    except (TypeError, ValueError, gymnasium.error.Error) as error:
        if not config.kwargs and not isinstance(error, gymnasium.error.Error):
            failure, lacking = failed(error, config.id, "its constructor"), _lacking(error, spec)
            raise (advised(failure, lacking) if lacking else failure) from error
        place = user_place(error.__traceback__)
        raise ConfigError(
            f"the environment {config.id} cannot be built with environment.kwargs = "
            f"{config.kwargs}: {words(error)}{f' (at {place})' if place else ''}. "
            f"{_lacking(error, spec) or 'Correct the arguments or choose another environment.'}"
        ) from error
    except BaseException as error:
        if not is_environments(error):
            raise
        failure = failed(error, config.id, "its constructor")
        if isinstance(error, OSError) and error.errno in _TAKEN:
            failure = advised(failure, ONLY_ONE)
        raise failure from error
