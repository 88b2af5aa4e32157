"""Session batches that a policy plays here, for supervised learning from it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tinyqueue.data.session import SessionBatch
from tinyqueue.datasets.dataset import Batch, Dataset
from tinyqueue.datasets.items import Cut
from tinyqueue.datasets.mixers import InOrder, ReplayMixer
from tinyqueue.datasets.plain import of_session
from tinyqueue.learned import load
from tinyqueue.player.stage import Stage
from tinyqueue.settings import load_settings


class Games(Dataset):
    """Endless session batches, played in this process by the policy of a run or a sample.

    Actions are chosen as in training: drawn from the policy, or by ε.

    Args:
        policy: A run directory, or a folder that ``tinyqueue export`` has written.
        ticks, slots: T and B of a session batch; by default those of the run.
        seed: Seed of the environments and the draws.

    Raises:
        TinyqueueError: There is no such policy, or its environment cannot be built here.
    """

    def __init__(
        self,
        policy: str | os.PathLike[str],
        *,
        ticks: int | None = None,
        slots: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        learned = load(Path(os.path.expanduser(policy)))
        spec = learned.spec
        shape = {"ticks": ticks or spec.ticks, "slots": slots or spec.slots}
        # The run's own policy plays, also where another one played for its training.
        self.spec = spec.model_copy(update={**shape, "policy": None})
        self._runner = learned.runner
        modules = load_settings().environment_modules
        self._stage = Stage(self.spec, user="local", player="games", seed=seed, modules=modules)

    @property
    def num_batches(self) -> None:
        """Endless."""
        return None

    def __getitem__(self, index: int) -> Batch:
        """The next session batch as arrays; see :func:`tinyqueue.datasets.plain.of_session`."""
        del index
        return of_session(next(self.sessions()))

    def sessions(self) -> Iterator[SessionBatch]:
        """Session batches, for ever."""
        while True:
            batch = self._stage.play(self._runner, "")
            # The stage plays its next batch in the same arrays.
            yield replace(
                batch,
                observations={path: x.copy() for path, x in batch.observations.items()},
                actions={path: x.copy() for path, x in batch.actions.items()},
                extras={name: x.copy() for name, x in batch.extras.items()},
                carry={name: x.copy() for name, x in batch.carry.items()},
                rewards=batch.rewards.copy(),
                terminated=batch.terminated.copy(),
                truncated=batch.truncated.copy(),
                valid=batch.valid.copy(),
            )

    def transitions(self, batch_size: int = 64, **cut: Any) -> InOrder:
        """Every transition once, in the order of play; see :class:`~tinyqueue.datasets.Cut`."""
        whole = {"batch_size": batch_size, "stack": self.spec.environment.stack, **cut}
        return InOrder(self.sessions(), Cut(**whole))

    def replay(self, batch_size: int = 64, *, options: Any = None, **cut: Any) -> ReplayMixer:
        """Samples of the newest of them; see :class:`ReplayMixer` for ``options``."""
        whole = {"batch_size": batch_size, "stack": self.spec.environment.stack, **cut}
        return ReplayMixer(self.sessions, Cut(**whole), **(options or {}))

    def close(self) -> None:
        """Closes the environments."""
        self._stage.close()
