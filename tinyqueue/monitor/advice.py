"""What is worth trying when a run has not improved for a while, from what was measured in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tinyqueue.experiment.experiment import Experiment

_SAME = 0.95
"""Rewards are called rare when at least this share of episodes has the same return."""
_GAIN = 0.2
"""Share of the change that one more observation explains. Measured with random actions: CartPole
0.00, LunarLander 0.05; CartPole without velocities 0.4, MountainCar without velocity 0.99."""
_SURPRISES = 0.2
"""Share of ticks. FrozenLake, whose ice is random, has 0.13; popgym's RepeatPrevious 0.40."""
_ENTROPY_LEFT = 0.1
"""Share of the initial entropy."""
_MOST_SLOTS = 4096
"""The bound of ``session.slots``."""


@dataclass(frozen=True)
class Findings:
    """What was measured in a run that is flat.

    Attributes:
        env_steps: Env steps since it was started.
        episodes: Episodes that finished in the flat stretch.
        mean: Mean of their returns.
        common_return: The most frequent return of the last episodes.
        common_share: How frequent it is, 0 … 1.
        gain: See :meth:`tinyqueue.monitor.hidden_state.HiddenState.gain`.
        surprises: See :meth:`tinyqueue.monitor.hidden_state.HiddenState.surprises`.
        entropy_left: Present entropy as a share of the initial one; 1 if there is none, or if
            actions are continuous: a differential entropy has no zero to be measured from.
        acts_in_numbers: Whether a part of the action is continuous.
    """

    env_steps: int
    episodes: int
    mean: float
    common_return: float
    common_share: float
    gain: float = 0.0
    surprises: float = 0.0
    entropy_left: float = 1.0
    acts_in_numbers: bool = False


def advise(experiment: Experiment, found: Findings) -> list[str]:
    """At most two sentences: what was seen, and the settings to try in a new run.

    The experiment has every one of them, and accepts the value.
    """
    if not found.episodes:
        limit = experiment.environment.max_episode_steps
        return [
            f"no episode has ended in {found.env_steps:,} env steps, so there is no return to "
            f"judge by",
            _try(f"environment.max_episode_steps={limit // 2 if limit else 1000}"),
        ]
    flat = f"the return stays at {found.mean:.3g}"
    if found.common_share >= _SAME:
        return [
            f"{flat}: {found.common_share:.0%} of the last episodes had the same, "
            f"{found.common_return:.3g}, so nothing tells good actions from bad ones",
            _try(*_exploring(experiment)),
        ]
    if not _remembers(experiment) and (found.gain >= _GAIN or found.surprises >= _SURPRISES):
        return [f"{flat}, and {_hidden(found)}", _try(*_remembering(experiment, found))]
    entropy = _more_entropy(experiment)
    if found.entropy_left < _ENTROPY_LEFT and entropy:
        return [
            f"{flat}, and the policy hardly varies its actions any more: its entropy is "
            f"{found.entropy_left:.0%} of what it was at first",
            _try(*entropy),
        ]
    rate = _number(experiment, "algorithm.learning_rate")
    settings = [f"algorithm.learning_rate={rate / 3:.2g}"] if rate else []
    return [
        f"{flat}, and nothing that was measured says why",
        _try(*settings, *_more_slots(experiment)),
    ]


def _try(*settings: str) -> str:
    """The advice. Where no setting is known that would help, it is another seed."""
    words = " ".join(f"--set {setting}" for setting in settings) or "another --seed"
    return f"worth trying in a new run: {words}"


def _hidden(found: Findings) -> str:
    if found.gain >= _GAIN:
        return (
            "one observation is not all there is to know: with the one before it, "
            f"{found.gain:.0%} more of what comes next can be foretold"
        )
    return (
        f"in {found.surprises:.0%} of ticks an observation and action that the episode had had "
        "before led elsewhere: by chance, or by something that is not seen"
    )


def _remembers(experiment: Experiment) -> bool:
    has_core = experiment.has_setting("model.core") and experiment.model.core != "none"
    return has_core or experiment.environment.stack > 1


def _remembering(experiment: Experiment, found: Findings) -> list[str]:
    stack = ["environment.stack=4"]
    # A tower of the value's own is refused beside a core.
    has_tower = experiment.setting("model.value_hidden") is not None
    if has_tower or not experiment.has_setting("model.core"):
        return stack
    if experiment.replay is None:
        return ["model.core=gru", *_whole_slots(experiment)]
    # Replayed transitions carry no state; sequences do. r2d2 acts by Q values of whole choices,
    # and its priorities need raw rewards.
    if found.acts_in_numbers or experiment.environment.normalise_rewards:
        return stack
    is_r2d2 = experiment.algorithm_name == "r2d2"
    return [*([] if is_r2d2 else ["algorithm.name=r2d2"]), "model.core=gru"]


def _whole_slots(experiment: Experiment) -> list[str]:
    """With a core, a minibatch takes whole slots: as many minibatches as divide them."""
    slots = experiment.session.slots * experiment.learner.batches_per_update
    count = _number(experiment, "algorithm.minibatches")
    if not count or slots % count == 0:
        return []
    return [f"algorithm.minibatches={math.gcd(int(count), slots)}"]


def _exploring(experiment: Experiment) -> list[str]:
    settings = _more_entropy(experiment)
    if settings:
        return settings
    n_step, steps = (_number(experiment, f"algorithm.{x}") for x in ("n_step", "exploration_steps"))
    if n_step:
        settings.append(f"algorithm.n_step={max(10, 2 * n_step):.0f}")
    if steps and experiment.setting("algorithm.exploration") in (None, "annealed"):
        settings.append(f"algorithm.exploration_steps={5 * steps:.0f}")
    return settings or _more_slots(experiment)


def _more_entropy(experiment: Experiment) -> list[str]:
    weight = _number(experiment, "algorithm.entropy_weight")
    return [] if weight is None else [f"algorithm.entropy_weight={max(0.03, 3 * weight):.2g}"]


def _more_slots(experiment: Experiment) -> list[str]:
    """Twice the slots, unless there can be only one, or not so many."""
    environment, slots = experiment.environment, 2 * experiment.session.slots
    if environment.realtime or environment.single or slots > _MOST_SLOTS:
        return []
    return [f"session.slots={slots}"]


def _number(experiment: Experiment, name: str) -> float | None:
    """A setting, if it is a number: another author's of this name may be anything."""
    value = experiment.setting(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number else None
