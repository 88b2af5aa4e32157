"""Running statistics of observations and rewards, and experience with normalised rewards.

Observations are normalised inside the network (:mod:`tinyqueue.models.observation_statistics`);
here is only counted what they are. Rewards are divided by the deviation of the discounted return
(Engstrom et al., 2020, arXiv:2005.12729, §A.2), as by Gymnasium's NormalizeReward and
Stable-Baselines3's VecNormalize: no mean is subtracted, so that their signs stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinyqueue.algorithms.trajectories import EARNED
from tinyqueue.data.discounted_returns import DiscountedReturns
from tinyqueue.data.running_moments import RunningMoments
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Arrays, Space, described
from tinyqueue.errors import CheckpointError, ConfigError
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.models.keras_import import KerasLayer
from tinyqueue.models.observation_statistics import is_normalised
from tinyqueue.monitor.metrics import Metric
from tinyqueue.replay.samples import SequenceSample, TransitionSample

MOST_REWARD = 10.0
"""Normalised rewards are clipped to ± this, as in OpenAI's baselines and SB3."""
EPSILON = 1e-8
"""Added to variances. Gymnasium and Stable-Baselines3: 1e-8."""
_SAME = 1e-12
# Variance of numbers that differ by rounding alone, as a share of their squared mean.
_PREFIX = "normalisation/"
_REWARDS = f"{_PREFIX}rewards/"


def require_normalisable(experiment: Experiment, observations: Space) -> None:
    """Rejects normalisation that would have no effect, or that the algorithm cannot learn by.

    Args:
        experiment: The experiment.
        observations: Its observation space.

    Raises:
        ConfigError: The text says why, and what to set.
    """
    environment, algorithm = experiment.environment, experiment.algorithm
    if environment.normalise_observations and not any(map(is_normalised, observations.values())):
        raise ConfigError(
            "environment.normalise_observations = true has no effect: the observations of "
            f"{environment.id} have no real numbers outside images: {described(observations)}. "
            "Remove it: an image is scaled by the bounds of its space."
        )
    if not environment.normalise_rewards:
        return
    for name, unset in (("reward_scale", 1.0), ("reward_clip", None)):
        if getattr(algorithm, name, unset) != unset:
            raise ConfigError(
                f"environment.normalise_rewards = true scales and clips rewards itself. Remove "
                f"algorithm.{name}, or set environment.normalise_rewards = false."
            )
    if getattr(algorithm, "prioritised", False):
        raise ConfigError(
            "environment.normalise_rewards = true needs a replay that is sampled uniformly: the "
            "first priority of an item compares its rewards, which are not normalised yet, with Q "
            "values that are. Set algorithm.prioritised = false, or algorithm.reward_scale instead."
        )
    if not isinstance(getattr(algorithm, "gamma", None), int | float):
        raise ConfigError(
            "environment.normalise_rewards = true needs the discount of returns, and "
            f"{experiment.algorithm_label} has no setting gamma. Set "
            "environment.normalise_rewards = false, or give its config a gamma."
        )


class Normalisation:
    """What the learner counts, and what it makes of it. Empty, it changes nothing.

    Args:
        layers: Path of an observation → the network's layer that normalises it.
        gamma: Discount of the returns by whose deviation rewards are divided; None leaves rewards
            as they are.
        n_step: n of the returns in samples of transitions.

    Attributes:
        is_new: Whether nothing was counted yet.
    """

    def __init__(
        self,
        layers: Mapping[str, KerasLayer] | None = None,
        *,
        gamma: float | None = None,
        n_step: int = 1,
    ) -> None:
        self._layers = dict(layers or {})
        self._observations = {
            path: RunningMoments(tuple(layer.mean.shape)) for path, layer in self._layers.items()
        }
        self._returns = None if gamma is None else DiscountedReturns(gamma)
        self._rewards = RunningMoments(())
        self._n_step = n_step

    @property
    def _moments(self) -> dict[str, RunningMoments]:
        """All that is counted, by its prefix in a checkpoint."""
        found = {f"{_PREFIX}observations/{path}/": m for path, m in self._observations.items()}
        return found if self._returns is None else {**found, _REWARDS: self._rewards}

    @property
    def is_new(self) -> bool:
        """Whether there is something to count, and nothing of it was counted yet."""
        moments = self._moments.values()
        return bool(moments) and not any(each.count for each in moments)

    @property
    def moves_weights(self) -> bool:
        """Whether what is counted changes the weights that players act by."""
        return bool(self._layers)

    @property
    def reward_deviation(self) -> float:
        """What rewards are divided by; 1 as long as returns do not vary."""
        variance, mean = float(self._rewards.variance), float(self._rewards.mean)
        return 1.0 if variance <= _SAME * mean**2 else float(np.sqrt(variance + EPSILON))

    def begin_from_layers(self, count: int) -> None:
        """Goes on from the statistics in the network's layers, which are another run's.

        Args:
            count: As if from so many values.
        """
        for path, moments in self._observations.items():
            layer = self._layers[path]
            mean = np.array(layer.mean.numpy(), np.float64)
            variance = np.square(np.array(layer.deviation.numpy(), np.float64)) - EPSILON
            squares = np.maximum(variance, 0.0) * count
            moments.restore({"count": np.asarray(count), "mean": mean, "squares": squares})

    def observe(self, batches: Sequence[SessionBatch]) -> None:
        """Counts the valid ticks of batches, each once. The network's layers follow.

        Args:
            batches: In the order of their arrival.
        """
        for batch in batches:
            for path, moments in self._observations.items():
                moments.add(batch.observations[path][:-1][batch.valid])
            if self._returns is not None:
                self._rewards.add(self._returns.of(batch))
        if batches:
            self._tell_layers()

    def applied(self, experience: Any) -> Any:
        """The experience that the algorithm is updated with: its rewards are normalised.

        Args:
            experience: Session batches, or a sample of the replay, whose rewards are normalised
                anew each time it is drawn. An n-step return is divided as a whole, and clipped to
                n times the bound.
        """
        if self._returns is None:
            return experience
        if isinstance(experience, TransitionSample):
            bound = MOST_REWARD * self._n_step
            return replace(experience, returns=self._scaled(experience.returns, bound))
        if isinstance(experience, SequenceSample):
            return replace(experience, rewards=self._scaled(experience.rewards))
        return [
            replace(
                batch,
                rewards=self._scaled(batch.rewards),
                extras={**batch.extras, EARNED: batch.rewards},
            )
            for batch in experience
        ]

    def _scaled(self, rewards: Array, bound: float = MOST_REWARD) -> Array:
        return np.clip(rewards / np.float32(self.reward_deviation), -bound, bound)

    def numbers(self) -> dict[str, float]:
        """Its metrics: means over all elements of all observations, and the factor on rewards."""
        found: dict[str, float] = {}
        if self._observations:
            moments = self._observations.values()
            means = np.concatenate([each.mean.ravel() for each in moments])
            deviations = np.concatenate([np.sqrt(each.variance).ravel() for each in moments])
            found[Metric.OBSERVATION_MEAN] = float(means.mean())
            found[Metric.OBSERVATION_DEVIATION] = float(deviations.mean())
        if self._returns is not None:
            found[Metric.REWARD_SCALE] = 1.0 / self.reward_deviation
        return found

    def state(self) -> Arrays:
        """Copies of all counts, means and squares, by name.

        Returns on the way are not among them: after a restart, an episode that runs counts again
        from its next one.
        """
        return {
            f"{prefix}{name}": array
            for prefix, moments in self._moments.items()
            for name, array in moments.state().items()
        }

    def restore(self, state: Mapping[str, Array]) -> None:
        """Continues from what :meth:`state` returned.

        Args:
            state: May hold other names as well.

        Raises:
            CheckpointError: Something is missing, or is of other observations.
        """
        try:
            for prefix, moments in self._moments.items():
                names = ("count", "mean", "squares")
                moments.restore({name: state[f"{prefix}{name}"] for name in names})
        except (KeyError, ValueError) as error:
            raise CheckpointError(
                f"the saved state has no such statistics of observations and rewards: {error}. "
                "Continue with the settings that it was trained with, or start a new run."
            ) from None
        self._tell_layers()

    def _tell_layers(self) -> None:
        for path, moments in self._observations.items():
            layer = self._layers[path]
            known = moments.count > 0
            deviation = np.sqrt(moments.variance + EPSILON) if known else np.ones(layer.mean.shape)
            layer.mean.assign(moments.mean.astype(np.float32))
            layer.deviation.assign(deviation.astype(np.float32))


def is_of_normalisation(name: str) -> bool:
    """Whether a name in a checkpoint's state is one of :meth:`Normalisation.state`."""
    return name.startswith(_PREFIX)
