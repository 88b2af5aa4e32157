"""Chooses the shape of a session batch by the costs of its environment, unless the user set it.

A batch should take at most a third of a play task's time limit, fit in a message, and leave enough
memory. What the user set is never changed: it works, or an error says what to set instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tinyqueue.algorithms.default import with_fitting_updates
from tinyqueue.algorithms.registry import find
from tinyqueue.envs.describe import EnvironmentInfo
from tinyqueue.envs.trial import Trial
from tinyqueue.errors import ConfigError
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.experiment.sections import Section
from tinyqueue.local.batch_costs import BATCH_S, BUILD_S, BatchCosts, Shape, time_told
from tinyqueue.wire.limits import SESSION_LIMITS

MOST_BATCH_S = 60.0
"""Longest batch that the user may set. The learner hears nothing from a player for that long."""
LEAST_LIMIT_S = 30.0
MOST_EPISODE_S = 1500.0
"""Longest time limit to choose for whole episodes. RabbitMQ takes a task away after 30 min."""
HANGS_AFTER = 10
"""A call counts as hanging after this many times the slowest call of the trial …"""
HANG_S = 30.0
"""… if that is longer than this, the default."""
LEAST_TICKS = 8
LEAST_GAMES = 10
GAMES_S = 120.0
"""Longest evaluation to choose, unless that were fewer than ten episodes."""
CHOSEN = {
    "environment": ("drop", "single", "entangled", "hang_s"),
    "session": ("ticks", "slots", "task_limit_s"),
    "learner": ("give_up_after_s",),
    "evaluation": ("slots", "episodes", "here_after_s"),
}
"""Settings that may be chosen at the start if they are left open, by section."""


@dataclass(frozen=True)
class Fitted:
    """An experiment whose open settings have been chosen.

    Attributes:
        experiment: The experiment with all settings.
        remarks: What was chosen and why, for the user.
        single: Why a machine cannot run a second environment beside the first; empty if it can.
    """

    experiment: Experiment
    remarks: tuple[str, ...] = ()
    single: str = ""


def fitted(experiment: Experiment, info: EnvironmentInfo, players: int) -> Fitted:
    """Chooses the settings that were left open.

    Args:
        experiment: The experiment.
        info: The description of its environment; without a trial, nothing is chosen.
        players: Players on this machine; 0 if they run elsewhere.

    Raises:
        ConfigError: A setting of the user cannot work; the message has the numbers and what to set.
    """
    trial = info.trial
    if trial is None:
        return Fitted(experiment)
    costs = BatchCosts(info, trial, players)
    before = Shape(experiment.session.ticks, experiment.session.slots)
    shape, why = _chosen(experiment, costs, before)
    _require_workable(experiment, costs, shape)
    session: dict[str, Any] = {}
    batches = experiment.learner.batches_per_update
    remarks = [*trial.remarks, *([shared_state(info.id)] if trial.entangled else [])]
    remarks += [*_of_rewards(experiment, trial), *_of_clock(experiment)]
    if shape != before:
        experiment = _shaped(experiment, shape)
        told = _shape_told(info.id, why, shape)
        if experiment.learner.batches_per_update != batches:
            told += f", {experiment.learner.batches_per_update} batches per update"
        remarks.append(told)
    if experiment.session.task_limit_s is None:
        session["task_limit_s"] = _limit_s(experiment, costs, shape, info)
    batch_s = costs.batch_s(shape)
    if batch_s > BATCH_S:
        remarks.append(
            f"a session batch takes about {time_told(batch_s)}: session.ticks = {shape.ticks} "
            f"steps of session.slots = {shape.slots} environments, {time_told(trial.step_s)} each"
        )
    if costs.has_slow_resets and not why:
        remarks.append(
            f"{info.id}: a reset takes {time_told(trial.reset_s)}, once in every episode"
        )
    evaluation = _evaluation(experiment, info, costs, remarks)
    environment: dict[str, Any] = {"entangled": True} if trial.entangled else {}
    slowest_s = max(trial.build_s, trial.reset_s, trial.slowest_step_s)
    if experiment.environment.hang_s is None and HANGS_AFTER * slowest_s > HANG_S:
        environment["hang_s"] = 10.0 * math.ceil(HANGS_AFTER * slowest_s / 10)
    changed = replace(
        experiment,
        environment=_with(experiment.environment, environment),
        session=_with(experiment.session, session),
        learner=_with(experiment.learner, _patience(experiment, session)),
        evaluation=_with(experiment.evaluation, evaluation),
    )
    return Fitted(changed, tuple(remarks), single=trial.single)


def shared_state(name: str) -> str:
    """What is so if environments in one process change each other, and what to do."""
    return (
        f"{name}: a step of one environment changes what another in the same process shows, so "
        "they share state: a global variable, a random generator, or a C library with one world. "
        "One per player is safe (session.slots=1, evaluation.slots=1), and for a file or a server "
        "that all share, one player (--players 1)"
    )


def _chosen(experiment: Experiment, costs: BatchCosts, shape: Shape) -> tuple[Shape, str]:
    """The largest affordable shape, and why the first one was not chosen."""
    first = costs.too_much(shape) or costs.too_many(shape.slots)
    while costs.too_many(shape.slots) and (smaller := _fewer_slots(experiment, shape)):
        shape = smaller
    while costs.too_much(shape) and (
        smaller := _fewer_slots(experiment, shape) or _fewer_ticks(experiment, shape)
    ):
        shape = smaller
    return shape, first


def _fewer_slots(experiment: Experiment, shape: Shape) -> Shape | None:
    """The shape with half the slots, if this setting is open."""
    if "slots" in experiment.session.model_fields_set or shape.slots == 1:
        return None
    half = Shape(shape.ticks, shape.slots // 2)
    return half if _suits(experiment, half) else None


def _fewer_ticks(experiment: Experiment, shape: Shape) -> Shape | None:
    """The shape with half the ticks, if this setting is open."""
    if "ticks" in experiment.session.model_fields_set or shape.ticks < 2 * LEAST_TICKS:
        return None
    half = Shape(shape.ticks // 2, shape.slots)
    return half if _suits(experiment, half) else None


def _suits(experiment: Experiment, shape: Shape) -> bool:
    """Whether the algorithm accepts batches of this shape; its minibatches may not, for example."""
    experiment = _shaped(experiment, shape)
    slots = shape.slots * experiment.learner.batches_per_update
    # What has a memory is trained on whole slots.
    ticks = shape.ticks if experiment.setting("model.core") in (None, "none") else 1
    try:
        find(experiment.algorithm_name).check(experiment.algorithm, ticks, slots)
    except ConfigError:
        return False
    return True


def _shaped(experiment: Experiment, shape: Shape) -> Experiment:
    """The experiment with batches of this shape, and open updates that fit them."""
    session = _with(experiment.session, {"ticks": shape.ticks, "slots": shape.slots})
    return with_fitting_updates(replace(experiment, session=session))


def _require_workable(experiment: Experiment, costs: BatchCosts, shape: Shape) -> None:
    """Rejects settings of the user that cannot work."""
    name = experiment.environment.id
    if costs.trial.single and shape.slots > 1:
        raise ConfigError(
            f"a second {name} cannot exist beside the first: {costs.trial.single}. Write --set "
            'session.slots=1, or give each its own number with "{slot}" in environment.kwargs.'
        )
    batch_s, limit_s = costs.batch_s(shape), experiment.session.task_limit_s
    if batch_s > MOST_BATCH_S or (limit_s is not None and batch_s > limit_s):
        least = MOST_BATCH_S if limit_s is None else limit_s
        raise ConfigError(
            f"{shape.ticks} steps of {shape.slots} environments would take {time_told(batch_s)} "
            f"({name} takes {time_told(costs.trial.step_s)} per step); a session batch may take "
            f"{time_told(least)}. Write {_advice(shape, min(BATCH_S, least) / batch_s)}."
        )
    size, most = costs.batch_bytes(shape), SESSION_LIMITS.body_bytes
    if experiment.session.codec != "none":
        most = SESSION_LIMITS.raw_bytes
    if size > most:
        raise ConfigError(
            f"a session batch of {shape.ticks} steps of {shape.slots} environments of {name} has "
            f"{size:,} bytes; {most:,} fit in a message. Write {_advice(shape, most / size)}."
        )


def _advice(shape: Shape, share: float) -> str:
    slots = max(1, int(shape.slots * share))
    left = share * shape.slots / slots
    advice = f"--set session.slots={slots}"
    if left < 1:
        advice += f" --set session.ticks={max(1, int(shape.ticks * left))}"
    return advice


def _limit_s(
    experiment: Experiment, costs: BatchCosts, shape: Shape, info: EnvironmentInfo
) -> float:
    """Time limit of a play task: three batches or budgets, plus time for building.

    For an environment that owns its clock, also the budget and the longest episode.
    """
    play_s = max(LEAST_LIMIT_S, 3 * experiment.session.task_budget_s, 3 * costs.batch_s(shape))
    if experiment.environment.realtime:
        play_s = max(play_s, _episode_limit_s(experiment, costs, info.max_episode_steps))
    # Rounded, so that it is the same at every start and players need not open a new stage.
    return 10.0 * math.ceil((play_s + 3 * costs.build_s(shape.slots)) / 10)


def _episode_limit_s(experiment: Experiment, costs: BatchCosts, steps: int | None) -> float:
    if steps is None:
        return MOST_EPISODE_S
    tick_s = max(costs.trial.step_s, experiment.environment.tick_s or 0.0)
    return min(MOST_EPISODE_S, 1.5 * (experiment.session.task_budget_s + steps * tick_s))


def _patience(experiment: Experiment, session: dict[str, Any]) -> dict[str, Any]:
    """Waits at least until the first batch of a slow environment can arrive."""
    limit_s: float = session.get("task_limit_s", experiment.session.task_limit_s) or 0.0
    learner = experiment.learner
    if experiment.environment.realtime:
        # Its limit is one of episodes; batches come all the time.
        return {}
    if "give_up_after_s" in learner.model_fields_set or limit_s <= learner.give_up_after_s:
        return {}
    return {"give_up_after_s": limit_s}


def _evaluation(
    experiment: Experiment, info: EnvironmentInfo, costs: BatchCosts, remarks: list[str]
) -> dict[str, Any]:
    """Number of evaluation episodes, and how many are played in parallel."""
    evaluation, trial = experiment.evaluation, costs.trial
    chosen: dict[str, Any] = {}
    slots = evaluation.slots
    if "slots" not in evaluation.model_fields_set:
        if trial.single or trial.entangled:
            slots = 1
        while slots > 1 and (costs.build_s(slots) > BUILD_S or costs.needs_memory(slots)):
            slots //= 2
        if slots != evaluation.slots:
            chosen["slots"] = slots
    steps = info.max_episode_steps or trial.episode_steps or 1000
    # A short trial may contain no reset but the first, so a reset is counted separately.
    game_s = trial.reset_s + steps * trial.step_s + (trial.build_s if trial.single else 0.0)
    if "episodes" not in evaluation.model_fields_set and evaluation.episodes * game_s > GAMES_S:
        games = max(LEAST_GAMES, int(GAMES_S / game_s))
        if games < evaluation.episodes:
            chosen["episodes"] = games
            remarks.append(
                f"an episode of {info.id} may take {time_told(game_s)}: an evaluation has {games} "
                f"instead of {evaluation.episodes} (evaluation.episodes)"
            )
    return chosen


def _of_rewards(experiment: Experiment, trial: Trial) -> Iterator[str]:
    learner, worst = experiment.learner, max(trial.rewards, key=abs)
    if abs(worst) <= learner.max_abs_reward:
        return
    clips = learner.beyond_max_reward == "clip"
    fate = "a session batch is set aside"
    if clips:
        fate = "rewards are clipped, and so are the returns shown"
    yield (
        f"{experiment.environment.id} gave a reward of {worst:g}; learner.max_abs_reward is "
        f"{learner.max_abs_reward:g}, beyond which {fate}. Set it higher if such rewards are right"
    )


def _of_clock(experiment: Experiment) -> Iterator[str]:
    """What follows from an environment that does not wait."""
    if not experiment.environment.realtime:
        return
    name = experiment.algorithm_label
    if experiment.replay is not None:
        yield (
            f"environment.realtime: when a player's spool is full, its oldest batches are dropped; "
            f"at such a gap {name} cuts n-step items short and gives up unfinished sequences "
            "(replay_gaps)"
        )
    else:
        yield (
            f"environment.realtime: nothing waits for {name}: batches that are played during an "
            "update, or while the broker is away, come late, and those that lag more than "
            f"learner.max_policy_lag = {experiment.learner.max_policy_lag} versions are dropped"
        )


def _shape_told(name: str, why: str, shape: Shape) -> str:
    plural = "" if shape.slots == 1 else "s"
    return (
        f"{name}: {why}: {shape.slots} environment{plural} per player, "
        f"{shape.ticks} steps per batch"
    )


def _with(section: Any, changes: dict[str, Any]) -> Any:
    assert isinstance(section, Section)
    return section.model_copy(update=changes) if changes else section
