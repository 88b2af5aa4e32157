"""Builds all that trains from an experiment and its environment.

TensorFlow is first used here, and only for algorithms that train a Keras network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from tinyqueue.algorithms.bare import BareAlgorithm, Problem
from tinyqueue.algorithms.base import Algorithm, AnyAlgorithm
from tinyqueue.algorithms.registry import find, outputs_of, require_built
from tinyqueue.data.masks import ACTION_MASK, mask_counts
from tinyqueue.data.spaces import Leaf, space_to_json, stacked
from tinyqueue.envs.describe import EnvironmentInfo
from tinyqueue.errors import ConfigError
from tinyqueue.experience.normalisation import Normalisation, require_normalisable
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.experiment.users_code import doing
from tinyqueue.models.keras_import import KerasLayer, import_keras
from tinyqueue.models.registry import build_network
from tinyqueue.models.registry import find as find_model
from tinyqueue.policy.export import PolicyExport
from tinyqueue.policy.graphs import ActingPolicy, OwnPolicy
from tinyqueue.policy.heads import make_head
from tinyqueue.wire.claims import info_limit
from tinyqueue.wire.contract import Contract, Extra

log = structlog.get_logger(__name__)

MOST_OUTPUT_BYTES = 1 << 30
"""Largest outputs of the network in one update. Their gradients and softmax take as much again."""


@dataclass(frozen=True)
class Built:
    """What is trained, what players need, and what they send back.

    Attributes:
        algorithm: The algorithm, with its network.
        export: The policy, for players: the acting half of the network.
        spec: What players play.
        contract: What their session batches must look like.
        threshold: Target score: mean return of an evaluation that ends training; None without.
        normalisation: The statistics by which observations and rewards are normalised.
    """

    algorithm: AnyAlgorithm[Any, Any]
    export: ActingPolicy
    spec: PlaySpec
    contract: Contract
    threshold: float | None
    normalisation: Normalisation = field(default_factory=Normalisation)


def stop_threshold(experiment: Experiment, info: EnvironmentInfo) -> float | None:
    """The target score: the experiment's, or else the environment's reward threshold.

    Args:
        experiment: The experiment.
        info: The description of its environment.

    Raises:
        ConfigError: There is neither a target score nor a limit of env steps, so training would
            never end.
    """
    if not has_end(experiment, info.reward_threshold):
        raise ConfigError(
            f"{info.id} has no return at which it is solved, so training would never end. "
            "Give --max-env-steps N, or --stop-at-return R."
        )
    at_return = experiment.stop.at_return
    return info.reward_threshold if at_return is None else at_return


def has_end(experiment: Experiment, reward_threshold: float | None) -> bool:
    """Whether there is a target score or a limit of env steps.

    Args:
        experiment: The experiment.
        reward_threshold: That of its environment, if it has one.
    """
    ends = (experiment.stop.at_return, reward_threshold, experiment.stop.max_env_steps)
    return any(end is not None for end in ends)


def require_acting(experiment: Experiment, info: EnvironmentInfo) -> int:
    """Rejects an algorithm that does not fit the environment, before TensorFlow is imported.

    Args:
        experiment: The experiment.
        info: The description of its environment.

    Returns:
        Size of the environment's action mask; 0 without one.

    Raises:
        ConfigError: The algorithm or an action mask does not support this action space, or it is
            too large; or what should be normalised cannot be.
    """
    require_normalisable(experiment, info.observation_space)
    algorithm = find(experiment.algorithm_name)
    if issubclass(algorithm, Algorithm):
        _require_size(experiment, info, algorithm)
    if experiment.environment.action_mask is None:
        return 0
    return sum(mask_counts(info.action_space))


def _require_size(
    experiment: Experiment, info: EnvironmentInfo, algorithm: type[Algorithm[Any, Any]]
) -> None:
    outputs = outputs_of(
        algorithm, experiment.algorithm_label, info.action_space, experiment.algorithm
    )
    session = experiment.session
    rows = session.ticks * session.slots * experiment.learner.batches_per_update
    size = sum(output.size for output in outputs.values())
    if experiment.replay is None and 4 * size * rows > MOST_OUTPUT_BYTES:
        raise ConfigError(
            f"a policy for the actions of {info.id} has {size:,} outputs, which is "
            f"{4 * size * rows:,} bytes for the {rows:,} steps of an update; {MOST_OUTPUT_BYTES:,} "
            "are supported. Wrap the environment to have fewer actions, or several small choices "
            "(MultiDiscrete)."
        )


def build(
    experiment: Experiment, info: EnvironmentInfo, run: str, *, deterministic: bool = False
) -> Built:
    """Builds the algorithm, with its model unless it brings its own, and the policy for players.

    Args:
        experiment: The experiment.
        info: The description of its environment.
        run: Id of the run.
        deterministic: Use deterministic operations: the same seed gives the same weights, bit for
            bit.

    Raises:
        ConfigError: Algorithm, model and environment do not fit each other.
        MissingExtraError: TensorFlow is not installed.
    """
    threshold = stop_threshold(experiment, info)
    mask_size = require_acting(experiment, info)
    found = find(experiment.algorithm_name)
    with doing(f"while it was built for {info.id}"):
        if issubclass(found, Algorithm):
            made = _with_keras(found, experiment, info, mask_size, deterministic)
        else:
            assert issubclass(found, BareAlgorithm)
            made = _with_own(found, experiment, info, mask_size)
    algorithm = made.algorithm
    session, evaluated = experiment.session, experiment.evaluated
    dropped = {"drop": info.drop or None}
    head_config = {**algorithm.head_config, **_recording(experiment, algorithm)}
    head = make_head(algorithm.head, head_config, info.action_space)
    spec = PlaySpec(
        experiment=experiment.name,
        run=run,
        environment=experiment.environment.model_copy(update=dropped),
        evaluation_environment=evaluated and evaluated.model_copy(update=dropped),
        observation_space=space_to_json(info.observation_space),
        action_space=space_to_json(info.action_space),
        head=algorithm.head,
        head_config=head_config,
        ticks=session.ticks,
        slots=session.slots,
        codec=session.codec,
        task_budget_s=session.task_budget_s,
        task_limit_s=session.task_limit_s or max(30.0, 3 * session.task_budget_s),
        queue_batches=experiment.learner.queue_batches,
        credits=experiment.learner.lag is not None and not experiment.environment.realtime,
        graph_sha256=made.policy.sha256,
        seed=experiment.seed,
        state={path: list(shape) for path, shape in made.state.items()},
        info=experiment.metrics.info,
        policy=session.policy,
    )
    if isinstance(made.policy, OwnPolicy):
        made.policy.require_playable(spec)
    masks = {}
    if mask_size:
        masks[ACTION_MASK] = Extra("bool", (mask_size,), "ticks+1", "mask")
    contract = Contract(
        experiment=experiment.name,
        run=run,
        observations=info.observation_space,
        actions=info.action_space,
        ticks=session.ticks,
        slots=session.slots,
        extras={**({} if session.policy else head.extras), **masks},
        max_abs_reward=experiment.learner.max_abs_reward,
        clips=experiment.learner.beyond_max_reward == "clip",
        state={path: Leaf("float32", shape) for path, shape in made.state.items()},
        needs_carry=made.needs_carry or algorithm.replay is not None,
        stack=experiment.environment.stack,
        seen=info.trial.observed if info.trial else {},
        info=len(experiment.metrics.info),
        info_limits={
            key: info_limit(info.trial.info.get(key, 0.0) if info.trial else 0.0)
            for key in experiment.metrics.info
        },
    )
    plan = algorithm.replay
    normalisation = Normalisation(
        made.statistics,
        gamma=experiment.algorithm.gamma if experiment.environment.normalise_rewards else None,
        n_step=plan.n_step if plan else 1,
    )
    return Built(algorithm, made.policy, spec, contract, threshold, normalisation)


@dataclass(frozen=True)
class _Made:
    """An algorithm and its policy.

    Attributes:
        state: The policy's recurrent state: path → shape.
        needs_carry: Whether batches must carry all that the policy may see.
        statistics: Path of an observation → the network's layer that normalises it.
    """

    algorithm: AnyAlgorithm[Any, Any]
    policy: ActingPolicy
    state: Mapping[str, tuple[int, ...]]
    needs_carry: bool
    statistics: Mapping[str, KerasLayer] = field(default_factory=dict)


def _with_keras(
    found: type[Algorithm[Any, Any]],
    experiment: Experiment,
    info: EnvironmentInfo,
    mask_size: int,
    deterministic: bool,
) -> _Made:
    tf, _ = import_keras()
    _use_threads(tf, experiment.learner.threads)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    network = build_network(
        find_model(experiment.model_name, experiment.model_label),
        stacked(info.observation_space, experiment.environment.stack),
        info.action_space,
        found.outputs(info.action_space, experiment.algorithm),
        experiment.model,
        experiment.seed,
        normalises=experiment.environment.normalise_observations,
    )
    if found.needs_memory and not network.state:
        name = experiment.algorithm_label
        log.warning(f"{name} without a recurrent core trains without a memory: set model.core")
    if found.needs_layer_norm and not getattr(experiment.model, "layer_norm", True):
        name = experiment.algorithm_label
        log.warning(f"{name} is not stable without LayerNorm: set model.layer_norm = true")
    algorithm = found(experiment.algorithm, network, info.action_space, mask_size)
    require_built(algorithm, experiment.algorithm_label)
    policy = PolicyExport(network, algorithm.acting_outputs)
    return _Made(
        algorithm, policy, network.state, network.uses_previous, statistics=network.statistics
    )


def _with_own(
    found: type[BareAlgorithm[Any, Any]],
    experiment: Experiment,
    info: EnvironmentInfo,
    mask_size: int,
) -> _Made:
    if experiment.environment.normalise_observations:
        raise ConfigError(
            "environment.normalise_observations = true normalises inside a Keras network, and "
            f"{experiment.algorithm_label} brings its own. Set it to false, and normalise in the "
            "policy's graph or by environment.wrappers."
        )
    problem = Problem(
        observations=stacked(info.observation_space, experiment.environment.stack),
        actions=info.action_space,
        mask_size=mask_size,
        seed=experiment.seed,
        threads=experiment.learner.threads,
    )
    algorithm = found(experiment.algorithm, problem)
    require_built(algorithm, experiment.algorithm_label)
    policy = OwnPolicy(algorithm.graph, algorithm.weights, experiment.algorithm_label)
    # What it reads is not known: it may well be the length of an episode that goes on.
    return _Made(algorithm, policy, policy.runner.signature.state, needs_carry=True)


def _recording(experiment: Experiment, algorithm: AnyAlgorithm[Any, Any]) -> dict[str, bool]:
    """What the session's settings add to the head's configuration."""
    if not experiment.session.record_entropy:
        return {}
    if not algorithm.records_entropy:
        raise ConfigError(
            "session.record_entropy = true needs a policy with probabilities, and "
            f"{experiment.algorithm_label} acts by Q values. Set session.record_entropy = false: "
            "Q values are recorded in any case."
        )
    return {"record_entropy": True}


def _use_threads(tf: Any, count: int) -> None:
    """Sets TensorFlow's threads.

    Once TensorFlow has started, as in the second run of a program, it keeps the number that it has.
    """
    try:
        # As many inter-op threads: the three passes of double Q learning can run in parallel. With
        # two, an update of pong-apex takes 0.8 times as long, and one of impala about 0.97 times.
        tf.config.threading.set_inter_op_parallelism_threads(count)
        tf.config.threading.set_intra_op_parallelism_threads(count)
    except RuntimeError:
        log.info("TensorFlow is already running and keeps its number of threads", wanted=count)
