"""All action heads by name, and the heads for evaluating a policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from tinyqueue.data.joint_actions import JointActions
from tinyqueue.data.spaces import Space
from tinyqueue.distributions import BoxFamily, Factored
from tinyqueue.errors import ConfigError, UnknownNameError
from tinyqueue.policy.heads.categorical import Categorical
from tinyqueue.policy.heads.epsilon_greedy import EpsilonGreedy
from tinyqueue.policy.heads.exploration import Exploration
from tinyqueue.policy.heads.greedy import Greedy, Mode
from tinyqueue.policy.heads.head import Head
from tinyqueue.policy.heads.random_first import ExploringConfig, RandomFirst
from tinyqueue.policy.heads.sampling import Sampling, SamplingConfig


@dataclass(frozen=True)
class HeadEntry:
    """An action head that an algorithm can name.

    Attributes:
        config: The type that validates its configuration.
        make: ``(actions, config, stage id)`` → the head.
        greedy: ``actions`` → the head that takes the best action of the same policy.
        draws: Whether the policy has probabilities to sample from; otherwise it has Q values.
        reads: ``actions`` → the network outputs that it reads, with their numbers per row.
    """

    config: Any
    make: Callable[[Space, Any, str], Head]
    greedy: Callable[[Space], Head]
    draws: bool
    reads: Callable[[Space], Mapping[str, int]]


def _parameters(actions: Space, box: BoxFamily = "gaussian") -> dict[str, int]:
    return {name: each.size for name, each in Factored(actions, box).parameters.items()}


def _categorical(actions: Space, config: SamplingConfig, stage: str) -> Head:
    entropy = config.record_entropy
    if _is_one_discrete(actions):
        return Categorical(actions, record_entropy=entropy)
    return Sampling(actions, record_entropy=entropy)


def _squashed(actions: Space, config: ExploringConfig, stage: str) -> Head:
    head = Sampling(actions, "squashed_gaussian", record_entropy=config.record_entropy)
    return RandomFirst(head, actions, config.random_steps) if config.random_steps else head


def _is_one_discrete(actions: Space) -> bool:
    return len(actions) == 1 and all(a.is_discrete and not a.shape for a in actions.values())


HEADS: Mapping[str, HeadEntry] = {
    # The name is from when all actions were discrete; runs from that time use it.
    "categorical": HeadEntry(SamplingConfig, _categorical, Mode, draws=True, reads=_parameters),
    "squashed": HeadEntry(
        ExploringConfig,
        _squashed,
        lambda actions: Mode(actions, "squashed_gaussian"),
        draws=True,
        reads=lambda actions: _parameters(actions, "squashed_gaussian"),
    ),
    "epsilon-greedy": HeadEntry(
        Annotated[Exploration, Field(discriminator="schedule")],
        EpsilonGreedy,
        lambda actions: Greedy(actions, "q"),
        draws=False,
        reads=lambda actions: {"q": JointActions(actions).n},
    ),
}


def make_head(name: str, config: Mapping[str, Any], actions: Space, *, stage: str = "") -> Head:
    """Builds the head that a spec names.

    Args:
        name: One of ``HEADS``.
        config: The head's configuration from the spec, as the algorithm wrote it.
        actions: The action space.
        stage: Id of the stage that it acts for, if exploration differs between stages.

    Raises:
        UnknownNameError: There is no such head.
        ConfigError: The configuration is not valid, or the head does not support the action space.
    """
    entry = _entry(name)
    try:
        checked = TypeAdapter(entry.config).validate_python(dict(config))
    except ValidationError as error:
        found = error.errors()[0]
        at = ".".join(str(part) for part in found["loc"])
        raise ConfigError(
            f"the action head {name} cannot be built from {dict(config)}: {at}: {found['msg']}. "
            "Fix or remove that key."
        ) from None
    return entry.make(actions, checked, stage)


def has_probabilities(of: str) -> bool:
    """Whether a policy trained with the head ``of`` has probabilities to sample from.

    Raises:
        UnknownNameError: There is no such head.
    """
    return _entry(of).draws


def outputs_read(of: str, actions: Space) -> Mapping[str, int]:
    """The network outputs that the head ``of`` reads: name → numbers per row.

    Raises:
        UnknownNameError, ConfigError: As in :func:`make_head`.
    """
    return _entry(of).reads(actions)


def greedy_head(of: str, actions: Space) -> Head:
    """The head that always takes the best action of a policy trained with the head ``of``.

    Raises:
        UnknownNameError, ConfigError: As in :func:`make_head`.
    """
    return _entry(of).greedy(actions)


def evaluation_head(
    of: str, actions: Space, *, sample: bool = False, epsilon: float | None = None
) -> Head:
    """The head for an evaluation with the given options; greedy by default.

    Args:
        of: The head that the policy was trained with.
        actions: The action space.
        sample: Sample from the policy's probabilities.
        epsilon: Act at random with this probability, otherwise greedily.

    Raises:
        ConfigError: ``sample`` needs probabilities, ``epsilon`` needs Q values; the policy has the
            other.
        UnknownNameError: There is no such head.
    """
    if sample and not has_probabilities(of):
        raise ConfigError(
            f"this run was trained with {of} actions, which have no probabilities to sample from. "
            "Leave --sample out, or give --epsilon, such as --epsilon 0.001."
        )
    if epsilon is not None and has_probabilities(of):
        raise ConfigError(
            f"this run was trained with {of} actions: it explores by its own probabilities and "
            "has no ε. Leave --epsilon out, or give --sample."
        )
    if sample:
        return make_head(of, {}, actions)
    if epsilon is not None:
        config = {"schedule": "annealed", "start": epsilon, "end": epsilon, "steps": 1}
        return make_head(of, config, actions)
    return greedy_head(of, actions)


def _entry(name: str) -> HeadEntry:
    if name not in HEADS:
        raise UnknownNameError("action head", name, HEADS)
    return HEADS[name]
