"""What a training run is given by hand: batches, and a source without a state."""

from collections.abc import Callable, Sequence

from tinyqueue.algorithms.base import Update
from tinyqueue.data.session import SessionBatch
from tinyqueue.experience.source import Refused, Source, Taken
from tinyqueue.run.checkpoint import Checkpoint, ReplayState


def taken(batches: Sequence[SessionBatch]) -> Taken:
    """Batches of a stream algorithm: they count, and they are trained on."""
    return Taken(batches, batches)


class StatelessSource(Source):
    """A source that has nothing of its own to keep."""

    def __init__(self, is_settled: Callable[[], bool] = lambda: True) -> None:
        self._is_settled = is_settled
        self.updates: list[Update] = []

    def take(self, timeout_s: float) -> None:
        return None

    def trained(self, taken: Taken, update: Update) -> None:
        self.updates.append(update)

    def refuse(self, taken: Taken, culprits: Sequence[int]) -> Sequence[Refused]:
        return [Refused("", taken.arrived[index].header.player) for index in culprits]

    def wait_until_settled(self) -> bool:
        return self._is_settled()

    def state(self) -> ReplayState:
        return ReplayState()

    def restore(self, checkpoint: Checkpoint | None) -> str:
        return ""

    def numbers(self) -> dict[str, float]:
        return {}
