"""How often environments failed in the episodes that were trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinyqueue.data.session import SessionBatch

LEAST_EPISODES = 10
"""Episodes before one may say that none ended by itself."""
TELLING_SHARE = 0.05
"""Faults per episode above which the returns of training say little."""


@dataclass
class EnvironmentFaults:
    """Counts the faults of session batches since the learner started.

    Attributes:
        count: Environments that failed and were built again while the others played on.
        episodes: Episodes that ended, those that a fault cut off among them.
        first: The first fault.
        of_resets: Whether a reset has failed: such a fault ends no episode.
    """

    count: int = 0
    episodes: int = 0
    first: str = ""
    of_resets: bool = False

    def see(self, batches: Sequence[SessionBatch]) -> None:
        """Counts the faults and episodes of session batches that were trained on."""
        for batch in batches:
            self.episodes += len(batch.episodes.returns)
            self.count += batch.header.faults
            self.first = self.first or batch.header.fault
            self.of_resets |= " in reset" in batch.header.fault

    @property
    def spoiled(self) -> str:
        """Why a run that was played to its end has failed; empty unless all episodes were cut."""
        has_whole = self.of_resets or self.count < self.episodes
        if has_whole or self.episodes < LEAST_EPISODES:
            return ""
        return (
            "the environment failed for every training episode, so hardly any was played to its "
            "end: correct it, then train anew"
        )

    def remarks(self) -> list[str]:
        """What the user should know; nothing while no environment has failed."""
        if not self.count:
            return []
        share = self.count / max(1, self.episodes)
        # A reset can fail too, so that there may be more faults than episodes.
        is_share = self.count <= self.episodes and not self.of_resets
        often = f" ({100 * share:.{2 if share < 0.1 else 3}g} %)" if is_share else ""
        times = "once" if self.count == 1 else f"{self.count:,} times"
        said = (
            f"the environment failed {times} in {self.episodes:,} training "
            f"episodes{often}, first: {self.first.rstrip('.')}"
        )
        if is_share and share > TELLING_SHARE:
            said += "; returns include episodes that were cut off"
        return [said]
