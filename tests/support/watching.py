"""A policy that keeps what it is shown, and always prefers one action."""

from typing import ClassVar

import numpy as np

from tinyqueue.data.spaces import Array, Arrays


class Watcher:
    """Stands in for a PolicyRunner with the output ``logits`` and a state that counts ticks.

    Args:
        actions: How many there are.
        prefers: The one that a greedy head takes.
    """

    version, env_steps, uses_previous = 1, 0, False
    state_shapes: ClassVar[dict[str, tuple[int, ...]]] = {"ticks": (1,)}

    def __init__(self, actions: int, prefers: int = 0) -> None:
        self.seen: list[Arrays] = []
        self.ticks: list[list[float]] = []
        self._logits = np.where(np.arange(actions) == prefers, 1.0, 0.0).astype(np.float32)

    def run(
        self, observations: Arrays, state: Arrays, previous: tuple[Arrays, Array] | None = None
    ) -> tuple[Arrays, Arrays]:
        self.seen.append({path: values.copy() for path, values in observations.items()})
        slots = len(next(iter(observations.values())))
        if state:
            self.ticks.append(state["ticks"][:, 0].tolist())
            state = {"ticks": state["ticks"] + 1}
        return {"logits": np.tile(self._logits, (slots, 1))}, state
