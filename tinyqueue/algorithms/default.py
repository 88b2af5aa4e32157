"""The algorithm of an experiment that names none, which depends on its environment's actions.

Real numbers get PPO with the settings of CleanRL's ``ppo_continuous_action.py``, which serve all of
MuJoCo; everything else keeps the documented default. What the user set is never changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar, cast

from tinyqueue.algorithms.ppo import PpoConfig
from tinyqueue.data.spaces import Space
from tinyqueue.experiment.experiment import Experiment, default_name
from tinyqueue.experiment.sections import Section
from tinyqueue.experiment.validation import field_names, validated
from tinyqueue.models.observation_statistics import is_normalised

S = TypeVar("S", bound=Section)

FOR_REALS = "ppo"
"""The algorithm for actions that are real numbers."""
SETTINGS: Mapping[str, Any] = {
    "learning_rate": 3e-4,
    "epochs": 10,
    "minibatches": 32,
    "entropy_weight": 0.0,
    "value_clip": 0.2,
}
"""CleanRL's settings of the algorithm that are not its defaults. The learning rate falls to 0 over
the run; it stays constant where a run has no last env step."""
TICKS, SLOTS = 256, 4
"""Shape of a session batch: two of them are CleanRL's 2,048 env steps per update."""
UPDATE_STEPS = 2048
"""Env steps of an update: as many session batches as make these up …"""
SMALL_STEPS, SMALL_UPDATE_STEPS = 256, 512
"""… or the latter, if a batch has fewer than the former. Its env steps are slow, so a run has few.
After 6,144 of them a task of reaching a target was at −6.0 with 2,048 per update, at −2.3 with 512,
at −2.1 with 128 and at −6.0 with 16 (measured, one seed; by ``impala`` −20)."""
MOST_BATCHES = 16
"""Session batches per update at most."""
MINIBATCH_STEPS = 64
"""Env steps of a minibatch: CleanRL's 2,048 / 32."""


def is_open(experiment: Experiment) -> bool:
    """Whether the actions of its environment decide its algorithm."""
    given = experiment.unnamed_algorithm
    return given is not None and set(given) <= set(field_names(PpoConfig))


def with_default_algorithm(
    experiment: Experiment, actions: Space, observations: Space
) -> Experiment:
    """The experiment with the algorithm that its actions need, if it names none.

    Settings without a name are kept where that algorithm has them; one that it does not have, such
    as ``algorithm.rho_clip``, keeps the documented default.

    Args:
        experiment: The experiment.
        actions: The action space of its environment.
        observations: The space of one frame.

    Raises:
        ConfigError: A setting has a value that this algorithm does not accept.
    """
    is_real = all(
        not leaf.is_discrete and leaf.dtype.startswith("float") for leaf in actions.values()
    )
    if not actions or not is_real or not is_open(experiment):
        return experiment
    return _for_reals(experiment, normalises=any(map(is_normalised, observations.values())))


def with_fitting_updates(experiment: Experiment) -> Experiment:
    """The experiment with updates that fit the shape of its session batches.

    If :func:`with_default_algorithm` chose PPO, small batches are put together, up to
    :data:`MOST_BATCHES` of them, and there are fewer minibatches in a small update: their number
    divides it. Any other experiment is returned as it is.
    """
    if not is_open(experiment) or experiment.algorithm_name != FOR_REALS:
        return experiment
    session, learner = experiment.session, experiment.learner
    steps = session.ticks * session.slots
    whole = UPDATE_STEPS if steps >= SMALL_STEPS else SMALL_UPDATE_STEPS
    batches = min(MOST_BATCHES, max(1, whole // steps))
    learner = _where_open(learner, {"batches_per_update": batches})
    slots = session.slots * learner.batches_per_update
    most = min(SETTINGS["minibatches"], session.ticks * slots // MINIBATCH_STEPS)
    # With a memory, a minibatch takes whole slots.
    units = (
        slots if experiment.setting("model.core") not in (None, "none") else session.ticks * slots
    )
    count = next(count for count in range(max(1, most), 0, -1) if units % count == 0)
    algorithm = replace(experiment.algorithm, minibatches=count)
    return replace(experiment, learner=learner, algorithm=algorithm)


def names_of(experiment: Experiment) -> list[str]:
    """The names that the experiment may have once its algorithm is chosen."""
    return [experiment.name, *([_name(experiment)] if is_open(experiment) else [])]


def as_begun(experiment: Experiment, kept: Experiment) -> Experiment:
    """The experiment as it was chosen for a run, if it may be the one that the run has kept."""
    if kept.algorithm_name != FOR_REALS or not is_open(experiment):
        return experiment
    chosen = _for_reals(experiment, normalises=kept.environment.normalise_observations)
    # Fitted by a trial when it began; the updates follow.
    shape = {"ticks": kept.session.ticks, "slots": kept.session.slots}
    return with_fitting_updates(replace(chosen, session=_where_open(chosen.session, shape)))


def _for_reals(experiment: Experiment, *, normalises: bool) -> Experiment:
    given = experiment.unnamed_algorithm or {}
    end = experiment.stop.max_env_steps
    annealed = {"anneal_steps": end} if end else {}
    algorithm = validated(PpoConfig, {**SETTINGS, **annealed, **given}, "algorithm")
    scales = algorithm.reward_scale != 1.0 or algorithm.reward_clip is not None
    environment = {"normalise_observations": normalises, "normalise_rewards": not scales}
    chosen = replace(
        experiment,
        name=_name(experiment),
        algorithm_name=FOR_REALS,
        algorithm=algorithm,
        environment=_where_open(experiment.environment, environment),
        session=_where_open(experiment.session, _shape(experiment)),
    )
    return with_fitting_updates(chosen)


def _name(experiment: Experiment) -> str:
    if experiment.has_own_name:
        return experiment.name
    return default_name(experiment.environment.id, FOR_REALS)


def _shape(experiment: Experiment) -> dict[str, int]:
    """T and B; an open one makes up for one that was set larger."""
    session, most = experiment.session, TICKS * SLOTS
    given = session.model_fields_set
    ticks = session.ticks if "ticks" in given else TICKS
    slots = session.slots if "slots" in given else SLOTS
    if "ticks" not in given:
        ticks = max(1, min(ticks, most // slots))
    if "slots" not in given:
        slots = max(1, min(slots, most // ticks))
    return {"ticks": ticks, "slots": slots}


def _where_open(section: S, changes: Mapping[str, Any]) -> S:
    """The section with those changes that the user has not set, which stay open."""
    given = section.model_fields_set
    kept = {name: value for name, value in changes.items() if name not in given}
    values = {**dict(section), **kept}
    return cast(S, type(section).model_construct(_fields_set=set(given), **values))
