"""How far training may run ahead of playing, and playing ahead of training."""

from __future__ import annotations

from collections.abc import Mapping

from tinyqueue.errors import ConfigError


class SamplesPerInsert:
    """Holds learner and players to a ratio, like Reverb's ``SampleToInsertRatio``.

    The ratio is how often each env step is trained on, on average: 512 transitions per update
    at ratio 8 need 64 new env steps per update. Trained ticks count as sampled: N for a batch of
    transitions, and the unmasked ticks after the burn-in for sequences.

    Args:
        ratio: Trained ticks per inserted env step, above 0.
        minimum: Env steps inserted before the first sample; they owe no training.
        tolerance: Trained ticks by which either side may be ahead. It must be at least half of
            a sample's, or both sides could wait for each other.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(self, ratio: float, minimum: int, tolerance: float) -> None:
        if ratio <= 0 or minimum < 1 or tolerance <= 0:
            raise ConfigError(
                f"samples per insert {ratio:g} with a minimum of {minimum} env steps and a "
                f"tolerance of {tolerance:g} is not possible; the ratio and the tolerance must "
                "be above zero and the minimum at least 1."
            )
        self._ratio, self._minimum, self._tolerance = ratio, minimum, tolerance
        self._inserted = 0
        self._sampled = 0
        # Set once, at a restore: what was owed then may have been counted at another ratio.
        self._brought = 0.0

    @property
    def owed(self) -> float:
        """Trained ticks still due for the inserted env steps; negative if training is ahead."""
        return self._ratio * (self._inserted - self._minimum) - self._sampled + self._brought

    def may_insert(self) -> bool:
        """Whether players should go on; False if training is too far behind."""
        return self._inserted < self._minimum or self.owed <= self._tolerance

    def may_sample(self, count: int) -> bool:
        """Whether ``count`` ticks may be trained on now."""
        return self._inserted >= self._minimum and self.owed - count >= -self._tolerance

    def inserted(self, env_steps: int) -> None:
        """Counts inserted env steps; a negative number takes back steps that did not arrive."""
        self._inserted += env_steps

    def sampled(self, count: int) -> None:
        """Counts trained ticks."""
        self._sampled += count

    def state(self, untrained: int = 0) -> dict[str, float]:
        """What a checkpoint keeps: the counts, and what is owed (zero before the minimum).

        Args:
            untrained: Ticks sampled but not trained on yet, and so not in the weights.
        """
        return {
            "inserted": self._inserted,
            "sampled": self._sampled - untrained,
            "owed": self.owed + untrained if self._inserted >= self._minimum else 0.0,
        }

    def restore(self, state: Mapping[str, float], inserted: int, held: int) -> None:
        """Continues from :meth:`state`, with this object's ratio from now on.

        Args:
            state: What :meth:`state` returned; empty if there is none.
            inserted: Env steps inserted up to now, including those since the state.
            held: Env steps still held. Training owed for more than these is forgotten, since
                they would be trained on in place of those that are lost.
        """
        self._inserted, self._sampled = inserted, int(state.get("sampled", 0))
        # Env steps beyond the minimum; fewer than before if some were not committed in time.
        before = max(0, int(state.get("inserted", 0)) - self._minimum)
        beyond = max(0, inserted - self._minimum)
        owed = float(state.get("owed", 0.0)) + self._ratio * (beyond - before)
        wanted = min(max(owed, -self._tolerance), self._ratio * held)
        self._brought = wanted - (self._ratio * beyond - self._sampled)
