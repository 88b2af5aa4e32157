"""Samples actions from a policy's distribution and records log μ(a|x), for policy gradients."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinyqueue.data.spaces import Array, Arrays, Space
from tinyqueue.distributions import BoxFamily, Factored
from tinyqueue.experiment.sections import Section
from tinyqueue.policy.heads.masks import mask_out
from tinyqueue.wire.contract import Extra, Kind

LOG_PROB = "behaviour_log_prob"
"""The extra with log μ(a|x) of whole actions, a log-density if any leaf is continuous:
``[T, B]`` float32."""
ENTROPY = "entropy"
"""The extra with the entropy of μ(·|x) in nats: ``[T, B]`` float32."""


class SamplingConfig(Section):
    """Configuration of the heads that sample.

    Attributes:
        record_entropy: Also record the policy's entropy at every tick.
    """

    record_entropy: bool = False


def recorded_extras(kind: Kind, record_entropy: bool) -> Mapping[str, Extra]:
    """The extras of a head that samples.

    Args:
        kind: Whether it records log-probabilities or log-densities.
        record_entropy: Whether it also records entropies.
    """
    extras = {LOG_PROB: Extra("float32", (), "ticks", kind)}
    return extras | ({ENTROPY: Extra("float32")} if record_entropy else {})


class Sampling:
    """Samples from the factored distribution of any action space.

    Noise is drawn for a whole batch at once. Log-probabilities are computed once per batch from the
    stored outputs and the actions as sent, so they belong exactly to the sampled actions.

    Args:
        actions: The action space.
        box: The family of Box leaves.
        record_entropy: Also record the policy's entropy at every tick, as a diagnostic.
    """

    epsilons: tuple[float, ...] = ()

    def __init__(
        self, actions: Space, box: BoxFamily = "gaussian", *, record_entropy: bool = False
    ) -> None:
        self._space = actions
        self._policy = Factored(actions, box)
        self.outputs = tuple(self._policy.parameters)
        self._record_entropy = record_entropy
        self._said: Arrays = {}
        self._of: tuple[int, int] | None = None

    @property
    def extras(self) -> Mapping[str, Extra]:
        """``[T, B]`` log-probabilities or log-densities and, if asked for, entropies."""
        kind: Kind = "log-density" if self._policy.is_density else "log-probability"
        return recorded_extras(kind, self._record_entropy)

    def begin(self, ticks: int, slots: int, rng: np.random.Generator, env_steps: int) -> None:
        """Draws the noise of all T × B actions."""
        if self._of != (ticks, slots):
            self._of = ticks, slots
            self._said = {
                name: np.empty((ticks, slots, parameter.size), np.float32)
                for name, parameter in self._policy.parameters.items()
            }
        self._noise = self._policy.noise(rng, ticks, slots)
        self._actions = {
            path: np.empty((ticks, slots, *leaf.shape), leaf.dtype)
            for path, leaf in self._space.items()
        }

    def act(self, tick: int, outputs: Arrays, mask: Array | None = None) -> Arrays:
        """Samples an action for each slot; invalid values have probability 0."""
        said = {name: rows[tick] for name, rows in self._said.items()}
        for name, row in said.items():
            row[...] = outputs[name]
        if mask is not None:
            (logits,) = said.values()
            mask_out(logits, mask)
        noise = {path: rows[tick] for path, rows in self._noise.items()}
        actions = self._policy.draw(said, noise)
        for path, drawn in actions.items():
            self._actions[path][tick] = drawn
        return actions

    def recorded(self) -> Arrays:
        """``[T, B]`` log-probabilities or log-densities and, if asked for, entropies."""
        log_prob = self._policy.log_prob(np, self._said, self._actions)
        is_density = self._policy.is_density
        extras = {LOG_PROB: log_prob if is_density else np.minimum(log_prob, 0.0)}
        if self._record_entropy:
            entropy = self._policy.entropy(np, self._said)
            extras[ENTROPY] = entropy if is_density else np.maximum(entropy, 0.0)
        return extras
