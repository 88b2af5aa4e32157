"""What a person has left open is chosen from what was found, told, and kept in the run."""

from __future__ import annotations

import math
from dataclasses import replace

from tinyqueue.algorithms.bare import BareAlgorithm
from tinyqueue.algorithms.default import with_default_algorithm
from tinyqueue.algorithms.horizon import beyond_horizon
from tinyqueue.algorithms.registry import find
from tinyqueue.envs.build import slower_form
from tinyqueue.envs.describe import EnvironmentInfo
from tinyqueue.envs.dropped import drop_notice
from tinyqueue.envs.names import find_environment, reward_threshold
from tinyqueue.evaluation.which_returns import which_returns
from tinyqueue.experiment.components import chosen as named
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.experiment.sections import EvaluationConfig
from tinyqueue.learner.build import has_end, require_acting
from tinyqueue.local.fitting import fitted
from tinyqueue.models.default import with_default_model
from tinyqueue.models.keras_import import bytecode_advice
from tinyqueue.monitor.view import View
from tinyqueue.run.network_folder import network_advice
from tinyqueue.run.run_directory import RunDirectory

ENV_STEPS = 1_000_000
"""Where training ends if neither the experiment nor its environment says."""
FEW_UPDATES = 10
"""A limit of env steps that allows fewer updates is told."""
_SINGLE_PATIENCE_S = 120.0
"""The learner cannot evaluate when only one environment can exist; it waits for the player."""


def with_an_end(experiment: Experiment, run: RunDirectory, view: View) -> Experiment:
    """The experiment with a limit if training would never end, which is told and saved."""
    if has_end(experiment, reward_threshold(find_environment(experiment.environment.id))):
        return experiment
    view.message(
        f"{experiment.environment.id} has no return at which it is solved, so training ends after "
        f"{ENV_STEPS:,} env steps: --max-env-steps N or --stop-at-return R sets another end"
    )
    stop = experiment.stop.model_copy(update={"max_env_steps": ENV_STEPS})
    limited = replace(experiment, stop=stop)
    run.keep_document(limited.document())
    return limited


def with_end_of(experiment: Experiment, kept: Experiment) -> Experiment:
    """The experiment as it was limited for a run, if it may be the one that the run has kept."""
    if kept.stop.max_env_steps != ENV_STEPS or experiment.stop.max_env_steps is not None:
        return experiment
    stop = experiment.stop.model_copy(update={"max_env_steps": ENV_STEPS})
    return replace(experiment, stop=stop)


def remark_on(experiment: Experiment, run: RunDirectory, view: View) -> None:
    """Says what makes training slower, pointless, or less safe than it has to be."""
    remarks = (
        bytecode_advice(),
        slower_form(experiment.environment),
        network_advice(run.path),
        which_returns(experiment),
        beyond_horizon(experiment.algorithm, experiment.stop.max_env_steps),
        unused_evaluation(experiment),
    )
    for remark in remarks:
        if remark:
            view.message(remark)


def unused_evaluation(experiment: Experiment) -> str:
    """A remark on how often to evaluate a run that has no level, so no evaluations; or nothing."""
    usual = EvaluationConfig.model_fields["every_env_steps"].default
    threshold = reward_threshold(find_environment(experiment.environment.id))
    levels = (threshold, experiment.stop.at_return)
    if experiment.evaluation.every_env_steps == usual or levels != (None, None):
        return ""
    return (
        f"{experiment.environment.id} has no return at which it is solved, so there are no "
        "evaluations and evaluation.every_env_steps has no effect: give --stop-at-return R, or use "
        "tinyqueue evaluate RUN"
    )


def with_algorithm(
    experiment: Experiment, info: EnvironmentInfo, run: RunDirectory, view: View
) -> Experiment:
    """The experiment with the algorithm for its actions, which is told; the run has its name."""
    chosen = with_default_algorithm(experiment, info.action_space, info.observation_space)
    if chosen.algorithm_name == experiment.algorithm_name:
        return experiment
    kinds = ("observations", "rewards")
    normalised = [kind for kind in kinds if getattr(chosen.environment, f"normalise_{kind}")]
    how = f" with normalised {' and '.join(normalised)}" if normalised else ""
    view.message(
        f"{info.id}: actions are real numbers: {chosen.algorithm_name}{how}, not "
        f"{experiment.algorithm_name} (algorithm.name overrides this)"
    )
    if chosen.name == experiment.name:
        run.keep_document(chosen.document())
        return chosen
    run.rename(chosen.document())
    # The run's copy of the user's own model, if there is one, has moved with it.
    return replace(chosen, model_name=named(run.document(), "model"))


def as_found(
    experiment: Experiment, info: EnvironmentInfo, run: RunDirectory, view: View
) -> Experiment:
    """The experiment with the model for its observations, and without parts that must be dropped.

    Both are told.

    Raises:
        ConfigError: Its algorithm cannot act in this environment.
    """
    require_acting(experiment, info)
    chosen = experiment
    if not issubclass(find(experiment.algorithm_name), BareAlgorithm):
        chosen = with_default_model(experiment, info.observation_space)
    if chosen.model_name != experiment.model_name:
        view.message(
            f"{experiment.environment.id} shows images, so its model is {chosen.model_name}: "
            'convolutions for them (model.name = "mlp" would flatten them)'
        )
        run.keep_document(chosen.document())
    experiment = chosen
    given = experiment.environment.drop or ()
    unasked = [path for path in info.drop if path not in given]
    if not unasked:
        return experiment
    view.message(drop_notice(experiment.environment.id, unasked))
    environment = experiment.environment.model_copy(update={"drop": info.drop})
    found = replace(experiment, environment=environment)
    run.keep_document(found.document())
    return found


def few_updates(experiment: Experiment) -> str:
    """A remark on a limit of env steps that hardly allows any learning; or nothing."""
    limit, session = experiment.stop.max_env_steps, experiment.session
    if limit is None or experiment.replay is not None:
        return ""
    each = session.ticks * session.slots * experiment.learner.batches_per_update
    updates = math.ceil(limit / each)
    if updates >= FEW_UPDATES:
        return ""
    return (
        f"{limit:,} env steps are {updates} update{'s' if updates > 1 else ''} of {each:,} "
        "(session.ticks × session.slots × learner.batches_per_update): raise "
        "--max-env-steps, or lower session.slots"
    )


def with_choices(
    experiment: Experiment, info: EnvironmentInfo, players: int, run: RunDirectory, view: View
) -> Experiment:
    """The experiment with its open settings chosen; the choices are reported and saved."""
    found = fitted(as_found(experiment, info, run, view), info, players)
    for remark in found.remarks:
        view.message(remark)
    chosen = found.experiment
    if found.single:
        view.message(
            f"a second {info.id} cannot exist next to the first: {found.single}. So there is one "
            "player with one environment (--players 1, session.slots=1), which also plays the "
            'evaluation episodes. "{slot}" in environment.kwargs can give each its own number'
        )
        alone = chosen.environment.model_copy(update={"single": True})
        patient = chosen.evaluation.model_copy(update={"here_after_s": _SINGLE_PATIENCE_S})
        chosen = replace(chosen, environment=alone, evaluation=patient)
    if remark := few_updates(chosen):
        view.message(remark)
    if chosen.document() != experiment.document():
        run.keep_document(chosen.document())
    return chosen
