"""Measures whether the past helps to predict what comes next, so that a policy needs memory.

There are two cheap measurements. For small vectors: how much better least squares predicts the
next observation if the previous one is known too, as for a pole without its velocities. For
anything: how often an observation and action that occurred earlier in the episode had another
outcome this time.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array

_SLOTS = 4
_SAMPLES = 48
_MOST_COLUMNS = 16
"""With more numbers than this, there are too many products of two for a cheap fit."""
_LEAST_ROWS = 400
_MOST_KINDS = 32
"""With more kinds of actions than this, they are taken for numbers."""


class HiddenState:
    """A sample of recent session batches, and what it says about hidden state."""

    def __init__(self) -> None:
        self._samples: deque[tuple[Array, Array, Array, Array]] = deque(maxlen=_SAMPLES)

    def see(self, batch: SessionBatch) -> None:
        """Keeps a copy of a few slots of a batch, whose buffers may be reused."""
        slots = min(_SLOTS, batch.slots)
        seen = [
            leaf[:, :slots].reshape(batch.ticks + 1, slots, -1).astype(np.float32)
            for leaf in batch.observations.values()
        ]
        taken = [
            leaf[:, :slots].reshape(batch.ticks, slots, -1).astype(np.float32)
            for leaf in batch.actions.values()
        ]
        self._samples.append(
            (
                np.concatenate(seen, axis=-1),
                np.concatenate(taken, axis=-1),
                batch.rewards[:, :slots].copy(),
                batch.valid[:, :slots].copy(),
            )
        )

    def gain(self) -> float:
        """How much better the next observation is explained by knowing the previous one too.

        The gain in the explained share of the change, 0 … 1, on rows that were not fitted; 0 if it
        cannot be measured.
        """
        if not self._samples or self._samples[0][0].shape[-1] > _MOST_COLUMNS:
            return 0.0
        before, now, after, actions = self._triples()
        if len(now) < _LEAST_ROWS:
            return 0.0
        change = after - now
        moves = change.std(axis=0) > 1e-6
        if not moves.any():
            return 0.0
        change = change[:, moves] / change[:, moves].std(axis=0)
        scale = now.std(axis=0) + 1e-6
        alone = _features((now - now.mean(axis=0)) / scale, actions)
        both = np.hstack([alone, (before - now) / ((before - now).std(axis=0) + 1e-6)])
        return max(0.0, _explained(both, change) - _explained(alone, change))

    def surprises(self) -> float:
        """The share of ticks at which the same action in the same place had another outcome.

        An observation and action that occurred earlier in the episode, within the batch, led to
        another observation or reward than the first time.
        """
        ticks = surprising = 0
        for seen, actions, rewards, valid in self._samples:
            for slot in range(seen.shape[1]):
                first: dict[tuple[bytes, bytes], tuple[bytes, float]] = {}
                for tick in range(len(actions)):
                    if not valid[tick, slot]:
                        first.clear()
                        continue
                    ticks += 1
                    key = seen[tick, slot].tobytes(), actions[tick, slot].tobytes()
                    came = seen[tick + 1, slot].tobytes(), float(rewards[tick, slot])
                    surprising += first.setdefault(key, came) != came
        return surprising / ticks if ticks else 0.0

    def _triples(self) -> tuple[Array, Array, Array, Array]:
        """Three observations in a row of one episode, and the actions at the second.

        ``[N, columns]`` each, and ``[N, numbers of an action]``.
        """
        rows: list[tuple[Array, Array, Array, Array]] = []
        for seen, actions, _, valid in self._samples:
            inside = valid[1:] & valid[:-1]
            rows.append(
                (seen[:-2][inside], seen[1:-1][inside], seen[2:][inside], actions[1:][inside])
            )
        before, now, after, chosen = (np.concatenate(part) for part in zip(*rows, strict=True))
        return before, now, after, chosen


def _features(seen: Array, actions: Array) -> Array:
    """A constant, the numbers, products of two of them, and all of it by action.

    Actions that took few values are told apart; of others, their numbers are columns.
    """
    seen = np.clip(seen, -4, 4)
    first, second = np.triu_indices(seen.shape[1])
    plain = np.hstack([np.ones((len(seen), 1)), seen, seen[:, first] * seen[:, second]])
    kinds, which = np.unique(actions, axis=0, return_inverse=True)
    if len(kinds) > _MOST_KINDS:
        return np.hstack([plain, actions, actions[:, :1] * seen])
    by_action = [
        (which.ravel() == kind)[:, None] * plain[:, : seen.shape[1] + 1]
        for kind in range(min(len(kinds), 8))
    ]
    return np.hstack([plain, *by_action])


def _explained(features: Array, target: Array) -> float:
    """The mean over columns of 1 − (squared error / variance), fitted on every other row."""
    fitted, others = features[::2], features[1::2]
    ridge = 1e-3 * len(fitted) * np.eye(features.shape[1])
    weights = np.linalg.solve(fitted.T @ fitted + ridge, fitted.T @ target[::2])
    error = ((others @ weights - target[1::2]) ** 2).mean(axis=0)
    return float(np.clip(1 - error / target[1::2].var(axis=0).clip(1e-9), 0, 1).mean())
