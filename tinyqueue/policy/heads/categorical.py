"""Samples one of n actions from softmax(logits): a fast special case of :mod:`.sampling`.

Most environments have one Discrete action, and the head limits a player's speed: this one needs
two array operations per tick.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinyqueue.data.spaces import Array, Arrays, Space
from tinyqueue.distributions import Factored
from tinyqueue.policy.heads.masks import mask_out
from tinyqueue.policy.heads.sampling import ENTROPY, LOG_PROB, recorded_extras
from tinyqueue.wire.contract import Extra

_TINY = np.finfo(np.float32).tiny


class Categorical:
    """Samples from softmax(logits) by the Gumbel-max trick and records log μ(a|x).

    ``argmax(logits − log E)`` with E standard exponential is a sample from the softmax: two array
    operations per tick and no normalisation. The log-probabilities are computed once per batch
    from the stored logits, so they belong exactly to these float32 logits.

    Args:
        actions: The action space: one Discrete leaf.
        record_entropy: Also record the policy's entropy at every tick, as a diagnostic.
    """

    epsilons: tuple[float, ...] = ()

    def __init__(self, actions: Space, *, record_entropy: bool = False) -> None:
        ((self._path, leaf),) = actions.items()
        self._n, self._dtype = leaf.n, np.dtype(leaf.dtype)
        self.outputs = tuple(Factored(actions).parameters)
        (self._output,) = self.outputs
        self._record_entropy = record_entropy
        self._resize(0, 0)

    @property
    def extras(self) -> Mapping[str, Extra]:
        """``[T, B]`` log-probabilities and, if asked for, entropies."""
        return recorded_extras("log-probability", self._record_entropy)

    def begin(self, ticks: int, slots: int, rng: np.random.Generator, env_steps: int) -> None:
        """Draws ``[T, B, n]`` Gumbel noise."""
        if self._noise.shape[:2] != (ticks, slots):
            self._resize(ticks, slots)
        rng.standard_exponential(dtype=np.float32, out=self._noise)
        np.maximum(self._noise, _TINY, out=self._noise)
        np.log(self._noise, out=self._noise)
        self._actions = np.empty((ticks, slots), self._dtype)

    def act(self, tick: int, outputs: Arrays, mask: Array | None = None) -> Arrays:
        """Samples ``[B]`` actions; invalid ones have probability 0."""
        logits, noise = self._rows[tick]
        logits[...] = outputs[self._output]
        if mask is not None:
            mask_out(logits, mask)
        np.subtract(logits, noise, out=self._scores)
        actions = self._actions[tick]
        actions[...] = self._scores.argmax(axis=1)
        return {self._path: actions}

    def recorded(self) -> Arrays:
        """``[T, B]`` log-probabilities of the actions and, if asked for, entropies."""
        # Actions first: NumPy reduces a short last axis four times slower.
        scores = np.ascontiguousarray(self._logits.reshape(-1, self._n).T)
        scores -= scores.max(axis=0)
        actions, shape = self._actions.ravel(), self._actions.shape
        chosen = scores[actions, np.arange(len(actions))]
        odds = np.exp(scores, out=None if self._record_entropy else scores)
        total = odds.sum(axis=0)
        log_total = np.log(total)
        extras = {LOG_PROB: np.minimum(chosen - log_total, 0.0).reshape(shape)}
        if self._record_entropy:
            entropy = log_total - (odds * scores).sum(axis=0) / total
            extras[ENTROPY] = np.maximum(entropy, 0.0).reshape(shape)
        return extras

    def _resize(self, ticks: int, slots: int) -> None:
        self._noise = np.empty((ticks, slots, self._n), np.float32)
        self._logits = np.empty_like(self._noise)
        self._rows = list(zip(self._logits, self._noise, strict=True))
        self._scores = np.empty((slots, self._n), np.float32)
        self._actions = np.empty((ticks, slots), self._dtype)
