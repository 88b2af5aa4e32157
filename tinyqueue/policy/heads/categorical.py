"""Sampling from softmax(logits), with log μ(a|x) recorded: the head of policy gradients."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinyqueue.data.spaces import Array, Arrays, Space
from tinyqueue.experiment.sections import Section
from tinyqueue.policy.heads.head import single_discrete
from tinyqueue.policy.heads.masks import mask_out
from tinyqueue.wire.contract import Extra

LOG_PROB = "behaviour_log_prob"
"""The extra that holds log μ(a|x): ``[T, B]`` float32."""
ENTROPY = "entropy"
"""The extra that holds the entropy of μ(·|x) in nats: ``[T, B]`` float32."""

_TINY = np.finfo(np.float32).tiny


class CategoricalConfig(Section):
    """The spec's half of the head ``categorical``."""

    record_entropy: bool = False


class Categorical:
    """Samples from softmax(logits) by the Gumbel-max trick and records log μ(a|x).

    ``argmax(logits − log E)`` with E standard exponential is a draw from the softmax: two
    array operations per tick and no normalisation. The log-probabilities are computed once
    per batch from the stored logits, so they are those of the float32 logits exactly.

    Args:
        actions: The action space.
        record_entropy: Record the entropy of every choice too, for people to look at.
    """

    outputs = ("logits",)
    epsilons: tuple[float, ...] = ()

    def __init__(self, actions: Space, *, record_entropy: bool = False) -> None:
        leaf = single_discrete(actions)
        (self._path,) = actions
        self._n, self._dtype = leaf.n, np.dtype(leaf.dtype)
        self._record_entropy = record_entropy
        self._resize(0, 0)

    @property
    def extras(self) -> Mapping[str, Extra]:
        extras = {LOG_PROB: Extra("float32", (), "ticks", "log-probability")}
        return extras | ({ENTROPY: Extra("float32")} if self._record_entropy else {})

    def begin(self, ticks: int, slots: int, rng: np.random.Generator, env_steps: int) -> None:
        if self._noise.shape[:2] != (ticks, slots):
            self._resize(ticks, slots)
        rng.standard_exponential(dtype=np.float32, out=self._noise)
        np.maximum(self._noise, _TINY, out=self._noise)
        np.log(self._noise, out=self._noise)
        self._actions = np.empty((ticks, slots), self._dtype)

    def act(self, tick: int, outputs: Arrays, mask: Array | None = None) -> Arrays:
        logits = self._logits[tick]
        logits[...] = outputs["logits"]
        if mask is not None:
            mask_out(logits, mask)
        np.subtract(logits, self._noise[tick], out=self._scores)
        actions = self._actions[tick]
        actions[...] = self._scores.argmax(axis=1)
        return {self._path: actions}

    def recorded(self) -> Arrays:
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
        self._scores = np.empty((slots, self._n), np.float32)
        self._actions = np.empty((ticks, slots), self._dtype)
