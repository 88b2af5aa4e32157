"""What is worth trying when a run has not improved for a while, from what was measured in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    """

    env_steps: int
    episodes: int
    mean: float
    common_return: float
    common_share: float
    gain: float = 0.0
    surprises: float = 0.0
    entropy_left: float = 1.0


def advise(experiment: Experiment, found: Findings) -> list[str]:
    """At most two sentences: what was seen, and the settings to try in a new run."""
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
        return [f"{flat}, and {_hidden(found)}", _try(*_remembering(experiment))]
    if found.entropy_left < _ENTROPY_LEFT and hasattr(experiment.algorithm, "entropy_weight"):
        return [
            f"{flat}, and the policy hardly varies its actions any more: its entropy is "
            f"{found.entropy_left:.0%} of what it was at first",
            _try(f"algorithm.entropy_weight={_more_entropy(experiment.algorithm):.2g}"),
        ]
    settings = [f"session.slots={min(4096, 2 * experiment.session.slots)}"]
    if hasattr(experiment.algorithm, "learning_rate"):
        settings.insert(0, f"algorithm.learning_rate={experiment.algorithm.learning_rate / 3:.2g}")
    return [f"{flat}, and nothing that was measured says why", _try(*settings)]


def _try(*settings: str) -> str:
    words = " ".join(f"--set {setting}" for setting in settings)
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
    core = getattr(experiment.model, "core", "none")
    return core != "none" or experiment.environment.stack > 1


def _remembering(experiment: Experiment) -> list[str]:
    if not hasattr(experiment.model, "core"):
        return ["environment.stack=4"]
    # Replayed transitions carry no state; sequences do.
    sequences = ["algorithm.name=r2d2"] if experiment.replay is not None else []
    return [*sequences, "model.core=gru"]


def _exploring(experiment: Experiment) -> list[str]:
    algorithm = experiment.algorithm
    if hasattr(algorithm, "entropy_weight"):
        return [f"algorithm.entropy_weight={_more_entropy(algorithm):.2g}"]
    settings = []
    if hasattr(algorithm, "n_step"):
        settings.append(f"algorithm.n_step={max(10, 2 * algorithm.n_step)}")
    is_annealed = getattr(algorithm, "exploration", "annealed") == "annealed"
    if is_annealed and hasattr(algorithm, "exploration_steps"):
        settings.append(f"algorithm.exploration_steps={5 * algorithm.exploration_steps}")
    return settings or [f"session.slots={min(4096, 2 * experiment.session.slots)}"]


def _more_entropy(algorithm: Any) -> float:
    return max(0.03, 3 * float(algorithm.entropy_weight))
