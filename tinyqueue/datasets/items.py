"""Transitions and sequences cut from session batches, by the replay that learners use.

Items are joined across the borders of batches, n-step returns are summed, and every frame is
held once, however many items and stacks show it (:mod:`tinyqueue.replay`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from tinyqueue.data.masks import ACTION_MASK
from tinyqueue.data.names import state_of_carried
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Arrays, Leaf, Space
from tinyqueue.datasets.dataset import Batch, Dataset
from tinyqueue.datasets.plain import of_sample
from tinyqueue.errors import ConfigError
from tinyqueue.replay.plan import ReplayPlan
from tinyqueue.replay.replay import Replay


@dataclass(frozen=True)
class Cut:
    """Which items session batches are cut into.

    Attributes:
        batch_size: N, items per batch of the dataset.
        n_step: n of the n-step returns of transitions.
        gamma: Discount per env step.
        burn_in, unroll: Ticks of a sequence before and within its loss; ``unroll`` 0:
            transitions.
        reward_scale: Factor on every reward, after clipping.
        reward_clip: Rewards are clipped to ±this; None does not clip.
        stack: Frames per observation, oldest first.
    """

    batch_size: int = 64
    n_step: int = 1
    gamma: float = 0.99
    burn_in: int = 0
    unroll: int = 0
    reward_scale: float = 1.0
    reward_clip: float | None = None
    stack: int = 1

    def __post_init__(self) -> None:
        if min(self.batch_size, self.n_step, self.stack) < 1 or min(self.burn_in, self.unroll) < 0:
            raise ConfigError(
                f"{self}: batch_size, n_step and stack are at least 1, burn_in and unroll at "
                "least 0."
            )

    def plan(self) -> ReplayPlan:
        """What the replay is told."""
        return ReplayPlan(
            batch_size=self.batch_size,
            n_step=self.n_step,
            gamma=self.gamma,
            prioritisation=None,
            burn_in=self.burn_in,
            unroll=self.unroll,
            reward_scale=self.reward_scale,
            reward_clip=self.reward_clip,
        )


def replay_for(batch: SessionBatch, cut: Cut, steps: int, most_bytes: int) -> Replay:
    """An empty replay for batches like this one.

    Args:
        batch: Any batch: its shapes and dtypes are those of all.
        cut: Which items it gives.
        steps: Most rows to hold.
        most_bytes: Most memory to use.

    Raises:
        ConfigError: Actions have several leaves, or the replay is too small for two batches.
    """
    if len(batch.actions) != 1:
        raise ConfigError(
            f"actions with the leaves {', '.join(batch.actions)} are not cut into items: "
            "transitions and sequences need one array of actions. Use the session batches."
        )
    mask = batch.extras.get(ACTION_MASK)
    state = {
        path: array.shape[1:]
        for name, array in batch.carry.items()
        if (path := state_of_carried(name)) is not None
    }
    return Replay(
        cut.plan(),
        _space(batch.observations),
        _space(batch.actions),
        state,
        ticks=batch.ticks,
        slots=batch.slots,
        capacity_steps=max(steps, 2 * batch.ticks * batch.slots),
        capacity_bytes=most_bytes,
        stack=cut.stack,
        mask_size=0 if mask is None else mask.shape[-1],
    )


def _space(arrays: Arrays) -> Space:
    return {path: Leaf(array.dtype.name, array.shape[2:]) for path, array in arrays.items()}


class LoggedItems(Dataset):
    """All items of finitely many session batches, held in memory, in a new order every epoch.

    Batches have exactly N items: what is left over after the last is another few every epoch.

    Args:
        batches: Reads the session batches, once, when the first item is asked for.
        count: How many there are at most.
        cut: Which items they are cut into.
        most_bytes: Most memory to use; more is refused, not left out.
        shuffle: Whether to draw a new order for every epoch; False: as they were played.
        seed: Seed of the orders.
    """

    def __init__(
        self,
        batches: Callable[[], Iterable[SessionBatch]],
        count: int,
        cut: Cut,
        *,
        most_bytes: int,
        shuffle: bool,
        seed: int,
    ) -> None:
        super().__init__()
        self._batches, self._count, self._cut = batches, count, cut
        self._most_bytes, self._shuffle = most_bytes, shuffle
        self._rng = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._replay: Replay | None = None
        self._order = np.empty(0, np.int64)

    @property
    def num_items(self) -> int:
        """Items in all."""
        self._filled()
        return len(self._order)

    @property
    def num_batches(self) -> int:
        """Whole batches per epoch."""
        return self.num_items // self._cut.batch_size

    def __len__(self) -> int:
        return self.num_batches

    def __getitem__(self, index: int) -> Batch:
        """The fields of a :class:`~tinyqueue.replay.samples.TransitionSample`, or SequenceSample.

        Raises:
            ConfigError: There are fewer items than one batch needs, or they need too much memory.
            IndexError: There is no such batch.
        """
        replay, size = self._filled(), self._cut.batch_size
        if not 0 <= index < self.num_batches:
            raise IndexError(f"batch {index} of {self.num_batches}")
        return of_sample(replay.gather(self._order[index * size : (index + 1) * size]))

    def on_epoch_end(self) -> None:
        """Draws the next epoch's order."""
        if self._shuffle:
            self._rng.shuffle(self._order)

    def _filled(self) -> Replay:
        with self._lock:
            if self._replay is None:
                self._replay = self._fill()
                self._order, _ = self._replay.items()
                self._require_enough()
                self.on_epoch_end()
            return self._replay

    def _fill(self) -> Replay:
        replay: Replay | None = None
        for number, batch in enumerate(self._batches()):
            if replay is None:
                # Gaps in a stage's batches take a block each, so at most as many again.
                steps = 2 * (self._count + 1) * batch.ticks * batch.slots
                replay = replay_for(batch, self._cut, steps, self._most_bytes)
            replay.add(number, batch)
            if replay.oldest_number > 0:
                raise ConfigError(
                    f"{self._count} session batches need more than most_bytes = "
                    f"{self._most_bytes:,}. Raise it, read fewer of them, or use replay()."
                )
        if replay is None:
            raise ConfigError("there is no session batch to read. Record some first.")
        return replay

    def _require_enough(self) -> None:
        if len(self._order) < self._cut.batch_size:
            raise ConfigError(
                f"{len(self._order)} items do not fill a batch of batch_size = "
                f"{self._cut.batch_size}. Lower it, or record more."
            )
