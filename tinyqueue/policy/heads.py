"""Action heads: from a network's outputs to actions, and what is recorded of the choice. NumPy.

A head is made once per stage. ``begin`` is called before the first tick of a session
batch and draws all its noise at once; ``act`` is called at every tick; ``recorded``
after the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from tinyqueue.data.spaces import Array, Arrays, Leaf, Space
from tinyqueue.errors import ConfigError, UnknownNameError
from tinyqueue.wire.contract import Extra

LOG_PROB = "behaviour_log_prob"
"""The extra that holds log μ(a|x): ``[T, B]`` float32."""

_TINY = np.finfo(np.float32).tiny


class Head(Protocol):
    """How actions are chosen from network outputs.

    Attributes:
        outputs: Names of the network outputs that it reads.
        extras: What ``recorded`` returns, by name.
    """

    @property
    def outputs(self) -> tuple[str, ...]: ...

    @property
    def extras(self) -> Mapping[str, Extra]: ...

    def begin(self, ticks: int, slots: int, rng: np.random.Generator) -> None:
        """Starts a session batch of ``ticks`` × ``slots``; every draw of it is made here."""

    def act(self, tick: int, outputs: Arrays) -> Array:
        """Actions ``[B]`` in the integer type of the wire, valid until the next ``begin``.

        Args:
            tick: 0 … T−1, ascending.
            outputs: Network outputs by name, ``[B, …]``; read before returning, so that
                their buffers may be used again.
        """

    def recorded(self) -> Arrays:
        """The extras of the batch; the arrays are the caller's to keep."""


class Categorical:
    """Samples from softmax(logits) by the Gumbel-max trick and records log μ(a|x).

    ``argmax(logits − log E)`` with E standard exponential is a draw from the softmax: two
    array operations per tick and no normalisation. The log-probabilities are computed once
    per batch from the stored logits, so they are those of the float32 logits exactly.
    """

    outputs = ("logits",)
    extras: Mapping[str, Extra] = {LOG_PROB: Extra("float32", (), "ticks", "log-probability")}

    def __init__(self, actions: Leaf) -> None:
        self._n = actions.n
        self._dtype = np.dtype(actions.dtype)
        self._resize(0, 0)

    def begin(self, ticks: int, slots: int, rng: np.random.Generator) -> None:
        if self._noise.shape[:2] != (ticks, slots):
            self._resize(ticks, slots)
        rng.standard_exponential(dtype=np.float32, out=self._noise)
        np.maximum(self._noise, _TINY, out=self._noise)
        np.log(self._noise, out=self._noise)
        self._actions = np.empty((ticks, slots), self._dtype)

    def act(self, tick: int, outputs: Arrays) -> Array:
        logits = self._logits[tick]
        logits[...] = outputs["logits"]
        np.subtract(logits, self._noise[tick], out=self._scores)
        actions: Array = self._actions[tick]
        actions[...] = self._scores.argmax(axis=1)
        return actions

    def recorded(self) -> Arrays:
        # Actions first: NumPy reduces a short last axis four times slower.
        scores = np.ascontiguousarray(self._logits.reshape(-1, self._n).T)
        scores -= scores.max(axis=0)
        actions = self._actions.ravel()
        chosen = scores[actions, np.arange(len(actions))]
        total = np.exp(scores, out=scores).sum(axis=0)
        log_probs = np.minimum(chosen - np.log(total), 0.0)
        return {LOG_PROB: log_probs.reshape(self._actions.shape)}

    def _resize(self, ticks: int, slots: int) -> None:
        self._noise = np.empty((ticks, slots, self._n), np.float32)
        self._logits = np.empty_like(self._noise)
        self._scores = np.empty((slots, self._n), np.float32)
        self._actions = np.empty((ticks, slots), self._dtype)


class Greedy:
    """The action of the largest logit, the first of equals; records nothing. For evaluation."""

    outputs = ("logits",)
    extras: Mapping[str, Extra] = {}

    def __init__(self, actions: Leaf) -> None:
        self._dtype = np.dtype(actions.dtype)

    def begin(self, ticks: int, slots: int, rng: np.random.Generator) -> None:
        """Nothing to draw."""

    def act(self, tick: int, outputs: Arrays) -> Array:
        actions: Array = outputs["logits"].argmax(axis=1).astype(self._dtype)
        return actions

    def recorded(self) -> Arrays:
        return {}


HEADS: Mapping[str, Callable[[Leaf], Head]] = {"categorical": Categorical, "greedy": Greedy}
"""Every action head by name."""


def make_head(name: str, config: Mapping[str, Any], actions: Space) -> Head:
    """Builds the head that a spec names.

    Raises:
        UnknownNameError: No such head.
        ConfigError: A key that the head does not have, or a space that it cannot act in.
    """
    if name not in HEADS:
        raise UnknownNameError("action head", name, HEADS)
    for key in config:
        raise ConfigError(f"the action head {name} has no key {key!r}; remove it.")
    return HEADS[name](single_discrete(actions))


def single_discrete(actions: Space) -> Leaf:
    """The one discrete leaf of an action space.

    Raises:
        ConfigError: The space is anything else.
    """
    leaves = list(actions.values())
    if len(leaves) != 1 or not leaves[0].is_discrete or leaves[0].shape != ():
        said = ", ".join(f"{path or 'action'}: {leaf}" for path, leaf in actions.items())
        raise ConfigError(
            f"this algorithm acts in one Discrete action space, and the environment has {said}. "
            "Choose an environment with discrete actions, or wrap it to have them."
        )
    return leaves[0]
