"""What an updater is given, by hand."""

from tinyqueue.experience.source import Source, Taken
from tinyqueue.run.checkpoint import ReplayState


def taken(batches):
    """Batches of a stream algorithm: they count, and they are trained on."""
    return Taken(batches, batches)


class Nothing(Source):
    """A source that has nothing of its own to keep."""

    def __init__(self, is_settled=lambda: True):
        self.wait_until_settled = is_settled
        self.updates = []

    def trained(self, taken, update):
        self.updates.append(update)

    def state(self):
        return ReplayState()

    def restore(self, checkpoint):
        return ""
