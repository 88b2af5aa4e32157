"""How fast training may run ahead of playing, and the other way round."""

from __future__ import annotations

from collections.abc import Mapping

from tinyqueue.errors import ConfigError


class SamplesPerInsert:
    """Holds learner and players to a ratio, like Reverb's ``SampleToInsertRatio``.

    The ratio is how many times each env step is trained on, on average: 512 transitions an
    update at ratio 8 need 64 new env steps an update. What counts as sampled is trained
    ticks: N for a batch of transitions, the masked ticks behind the burn-in for sequences.

    Args:
        ratio: Trained ticks per inserted env step, above 0.
        minimum: Env steps inserted before the first sample; they owe no training.
        tolerance: Trained ticks by which either side may be ahead. At least half of one
            sample's, or both sides could wait for each other.

    Raises:
        ConfigError: An argument out of range.
    """

    def __init__(self, ratio: float, minimum: int, tolerance: float) -> None:
        if ratio <= 0 or minimum < 1 or tolerance <= 0:
            raise ConfigError(
                f"samples per insert {ratio:g} with a minimum of {minimum} env steps and a "
                f"tolerance of {tolerance:g} is not possible; the ratio and the tolerance must "
                "be above 0 and the minimum at least 1."
            )
        self._ratio, self._minimum, self._tolerance = ratio, minimum, tolerance
        self._inserted = 0
        self._sampled = 0
        # Set once, at a restore: what was owed then was counted at another ratio, perhaps.
        self._brought = 0.0

    @property
    def owed(self) -> float:
        """Trained ticks that the inserted env steps ask for and have not had; negative when
        training is ahead."""
        return self._ratio * (self._inserted - self._minimum) - self._sampled + self._brought

    def may_insert(self) -> bool:
        """Whether players should go on: false when training is too far behind."""
        return self._inserted < self._minimum or self.owed <= self._tolerance

    def may_sample(self, count: int) -> bool:
        """Whether ``count`` ticks may be trained on now."""
        return self._inserted >= self._minimum and self.owed - count >= -self._tolerance

    def inserted(self, env_steps: int) -> None:
        """Counts env steps; a negative number takes back what did not come after all."""
        self._inserted += env_steps

    def sampled(self, count: int) -> None:
        self._sampled += count

    def state(self, untrained: int = 0) -> dict[str, float]:
        """What a checkpoint keeps: the counts, and what is owed; nothing before the minimum.

        Args:
            untrained: Ticks that were sampled and are not trained on yet: not in the weights.
        """
        return {
            "inserted": self._inserted,
            "sampled": self._sampled - untrained,
            "owed": self.owed + untrained if self._inserted >= self._minimum else 0.0,
        }

    def restore(self, state: Mapping[str, float], inserted: int, held: int) -> None:
        """Goes on from :meth:`state`, with this one's own ratio from here on.

        Args:
            state: Empty when there is none.
            inserted: Env steps inserted up to now, those since the state included.
            held: Env steps that there still are: training that is owed for more than these is
                let go, since these would be trained on in the place of those that are lost.
        """
        self._inserted, self._sampled = inserted, int(state.get("sampled", 0))
        # Env steps beyond the minimum. Fewer than before where some were not committed in time.
        before = max(0, int(state.get("inserted", 0)) - self._minimum)
        beyond = max(0, inserted - self._minimum)
        owed = float(state.get("owed", 0.0)) + self._ratio * (beyond - before)
        wanted = min(max(owed, -self._tolerance), self._ratio * held)
        self._brought = wanted - (self._ratio * beyond - self._sampled)
