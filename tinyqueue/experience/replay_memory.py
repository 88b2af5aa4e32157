"""A replay with its rate limiter and its random generator. No threads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tinyqueue.data.seeds import generator
from tinyqueue.data.session import SessionBatch
from tinyqueue.errors import ConfigError
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.experiment.sections import ReplayConfig
from tinyqueue.replay.limiter import SamplesPerInsert
from tinyqueue.replay.plan import ReplayPlan
from tinyqueue.replay.replay import Replay, Withdrawn
from tinyqueue.replay.samples import SequenceSample, TransitionSample
from tinyqueue.run.checkpoint import ReplayState
from tinyqueue.wire.contract import Contract

Sample = TransitionSample | SequenceSample

_DRAWS = 2
# Purpose of the generator derived from the run's seed.


class ReplayMemory:
    """Stores experience, and keeps sampling and inserting in balance. One thread at a time.

    Args:
        experiment: Its ``replay`` section, session shape and seed are used.
        plan: What the algorithm needs from the replay.
        contract: What a batch looks like.

    Raises:
        ConfigError: The capacity is too small for the minimum, or for one sample.
    """

    def __init__(self, experiment: Experiment, plan: ReplayPlan, contract: Contract) -> None:
        config = experiment.replay
        assert config is not None
        self._plan = plan
        self._seed = experiment.seed
        self._minimum = config.minimum_steps
        self.replay = Replay(
            plan,
            contract.observations,
            contract.actions,
            {path: leaf.shape for path, leaf in contract.state.items()},
            ticks=contract.ticks,
            slots=contract.slots,
            capacity_steps=config.capacity_steps,
            capacity_bytes=config.capacity_bytes,
            stack=contract.stack,
            mask_size=contract.mask_size,
        )
        _require_room(config, plan, self.replay.capacity)
        batch_steps = contract.ticks * contract.slots
        # An upper bound: sequences of short episodes have fewer.
        self._sample_steps = plan.batch_size * max(1, plan.unroll)
        ahead = config.tolerance_steps or 4 * batch_steps
        self._limiter = SamplesPerInsert(
            config.samples_per_insert,
            config.minimum_steps,
            max(config.samples_per_insert * ahead, self._sample_steps),
        )
        self._rng = generator(self._seed, _DRAWS)

    @property
    def may_insert(self) -> bool:
        """Whether a batch may be inserted; False while players are too far ahead of training."""
        return self._limiter.may_insert()

    @property
    def may_sample(self) -> bool:
        """Whether to sample; False if there is too little experience, or it was sampled enough."""
        return self.replay.size > 0 and self._limiter.may_sample(self._sample_steps)

    @property
    def samples_per_insert(self) -> float:
        """Env steps trained on per env step inserted beyond the minimum, so far; 0 before that."""
        counts = self._limiter.state()
        beyond = counts["inserted"] - self._minimum
        return counts["sampled"] / beyond if beyond > 0 else 0.0

    def admit(self, env_steps: int) -> None:
        """Announces a batch of ``env_steps`` to be added; −n withdraws one that was not."""
        self._limiter.inserted(env_steps)

    def add(self, number: int, batch: SessionBatch) -> None:
        """Adds a batch.

        Args:
            number: Its number in the session log.
            batch: The batch; it is copied.
        """
        self.replay.add(number, batch)

    def sample(self, updates: int) -> Sample:
        """Draws a sample of items.

        Args:
            updates: Updates so far: the clock of the importance exponent.
        """
        sample = self.replay.sample(self._rng, updates)
        self._limiter.sampled(self.trained_ticks(sample))
        return sample

    def trained_ticks(self, sample: Sample) -> int:
        """Number of ticks that count in the loss, without the padding of short episodes."""
        if isinstance(sample, SequenceSample):
            return int(np.count_nonzero(sample.mask[self._plan.burn_in :]))
        return len(sample.rows)

    def is_whole(self, sample: Sample) -> bool:
        """Whether all items of a sample are still held."""
        return bool(self.replay.holds(sample.rows, sample.births).all())

    def give_back(self, sample: Sample) -> None:
        """Takes a sample back that was not trained on: another one is due in its place."""
        self._limiter.sampled(-self.trained_ticks(sample))

    def withdraw(self, sample: Sample, items: Sequence[int]) -> list[Withdrawn]:
        """Takes out the session batches that these items of a sample read."""
        chosen = np.asarray(items, np.int64)
        return self.replay.withdraw(sample.rows[chosen], sample.births[chosen])

    def state(self, ahead: Iterable[Sample] = ()) -> ReplayState:
        """What a checkpoint keeps.

        Args:
            ahead: Samples that were drawn but not trained on yet.
        """
        untrained = sum(map(self.trained_ticks, ahead))
        return ReplayState(self.replay.snapshot(), self._limiter.state(untrained))

    def restore(
        self,
        batches: Iterable[tuple[int, SessionBatch]],
        accepted_env_steps: int,
        kept: ReplayState | None,
        updates: int,
    ) -> None:
        """Continues where a run was left.

        Args:
            batches: Numbers and batches of the session log, in order.
            accepted_env_steps: Env steps accepted by the ledger since the run began.
            kept: The checkpoint's part: priorities, and how much its weights were trained on; None
                without a checkpoint.
            updates: Updates at the checkpoint. They seed the later draws.
        """
        for number, batch in batches:
            self.replay.add(number, batch)
        if kept is not None:
            self.replay.restore_priorities(kept.arrays)
        limiter = kept.limiter if kept is not None else {}
        self._limiter.restore(limiter, accepted_env_steps, self.replay.env_steps)
        self._rng = generator(self._seed, _DRAWS, updates)


def _require_room(config: ReplayConfig, plan: ReplayPlan, capacity: int) -> None:
    if config.minimum_steps > capacity:
        raise ConfigError(
            f"replay.minimum_steps = {config.minimum_steps} can never be reached: "
            f"replay.capacity_steps = {config.capacity_steps} and replay.capacity_bytes = "
            f"{config.capacity_bytes} hold {capacity} env steps. Raise them, or lower the minimum."
        )
    least = plan.batch_size * max(1, plan.burn_in + plan.unroll)
    if least > capacity:
        raise ConfigError(
            f"a replay of {capacity} env steps is smaller than one sample of {least}. Raise "
            "replay.capacity_steps and replay.capacity_bytes, or lower algorithm.batch_size."
        )
