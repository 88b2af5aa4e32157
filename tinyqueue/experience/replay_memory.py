"""A replay with its limiter and its draws: what is learned from more than once. No threads."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tinyqueue.data.seeds import generator
from tinyqueue.data.session import SessionBatch
from tinyqueue.errors import ConfigError
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.experiment.sections import ReplayConfig
from tinyqueue.replay.limiter import SamplesPerInsert
from tinyqueue.replay.plan import ReplayPlan
from tinyqueue.replay.replay import Replay
from tinyqueue.replay.samples import SequenceSample, TransitionSample
from tinyqueue.run.checkpoint import ReplayState
from tinyqueue.wire.contract import Contract

Sample = TransitionSample | SequenceSample

_DRAWS = 2
# What a generator derived from the run's seed is for.


class ReplayMemory:
    """Keeps experience, and keeps samples and inserts in step. For one thread at a time.

    Args:
        experiment: Its ``replay`` section, session shape and seed.
        plan: What the algorithm asks of the replay.
        contract: What a batch looks like.

    Raises:
        ConfigError: The capacity is too small for the minimum, or for what is taken at once.
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
        # At most: sequences of short episodes have fewer.
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
        """False while players are too far ahead of training."""
        return self._limiter.may_insert()

    @property
    def may_sample(self) -> bool:
        """False while there is too little experience, or it has been trained on enough."""
        return self.replay.size > 0 and self._limiter.may_sample(self._sample_steps)

    @property
    def samples_per_insert(self) -> float:
        """Times that each env step beyond the minimum has been trained on so far; 0 before."""
        counts = self._limiter.state()
        beyond = counts["inserted"] - self._minimum
        return counts["sampled"] / beyond if beyond > 0 else 0.0

    def admit(self, env_steps: int) -> None:
        """A batch of so many env steps is going to be added; of −n: was not, after all."""
        self._limiter.inserted(env_steps)

    def add(self, number: int, batch: SessionBatch) -> None:
        self.replay.add(number, batch)

    def sample(self, updates: int) -> Sample:
        """Draws items.

        Args:
            updates: Made so far, the clock of the importance weights.
        """
        sample = self.replay.sample(self._rng, updates)
        self._limiter.sampled(self.trained_ticks(sample))
        return sample

    def trained_ticks(self, sample: Sample) -> int:
        """Ticks that have a share in the loss: not the padding of short episodes."""
        if isinstance(sample, SequenceSample):
            return int(np.count_nonzero(sample.mask[self._plan.burn_in :]))
        return len(sample.rows)

    def state(self, ahead: Iterable[Sample] = ()) -> ReplayState:
        """What a checkpoint keeps.

        Args:
            ahead: Samples that were drawn and are not trained on yet.
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
        """Goes back to where a run was left.

        Args:
            batches: Those of the session log, in order.
            accepted_env_steps: By the ledger, since the run began.
            kept: Of the checkpoint, with priorities and the samples that are in its weights.
            updates: Of the checkpoint. Later draws come from a stream of their own.
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
            f"replay.minimum_steps = {config.minimum_steps} can never be there: "
            f"replay.capacity_steps = {config.capacity_steps} and replay.capacity_bytes = "
            f"{config.capacity_bytes} hold {capacity} env steps. Raise them, or lower the minimum."
        )
    least = plan.batch_size * max(1, plan.burn_in + plan.unroll)
    if least > capacity:
        raise ConfigError(
            f"a replay of {capacity} env steps is less than one sample of {least}. Raise "
            "replay.capacity_steps and replay.capacity_bytes, or lower algorithm.batch_size."
        )
