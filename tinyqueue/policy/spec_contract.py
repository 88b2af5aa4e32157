"""What a published spec alone says about the session batches of its run."""

from __future__ import annotations

from tinyqueue.data.masks import ACTION_MASK, mask_counts
from tinyqueue.data.spaces import Leaf
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.experiment.sections import LearnerConfig
from tinyqueue.policy.heads import make_head
from tinyqueue.wire.contract import Contract, Extra


def contract_of(spec: PlaySpec, *, needs_carry: bool = False) -> Contract:
    """The contract of a run, for those who are not its learner.

    The spec does not say how large rewards may be, nor what the environment's trial has shown:
    the defaults of ``learner.max_abs_reward`` stand in.

    Args:
        spec: The spec of the run.
        needs_carry: Whether ``carry`` must hold the episode's steps, the previous action and the
            previous reward, as a learner with a replay requires.

    Raises:
        ConfigError: Its action head is unknown here.
    """
    head = make_head(spec.head, spec.head_config, spec.actions)
    extras = {} if spec.policy else dict(head.extras)
    if spec.environment.action_mask is not None:
        size = sum(mask_counts(spec.actions))
        extras[ACTION_MASK] = Extra("bool", (size,), "ticks+1", "mask")
    limits = LearnerConfig()
    return Contract(
        experiment=spec.experiment,
        run=spec.run,
        observations=spec.observations,
        actions=spec.actions,
        ticks=spec.ticks,
        slots=spec.slots,
        extras=extras,
        max_abs_reward=limits.max_abs_reward,
        clips=limits.beyond_max_reward == "clip",
        state={path: Leaf("float32", tuple(shape)) for path, shape in spec.state.items()},
        needs_carry=needs_carry,
        stack=spec.environment.stack,
        info=len(spec.info),
    )
