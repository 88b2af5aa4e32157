"""Recorded and live experience as ``keras.utils.PyDataset``, for plain ``model.fit``.

``SessionLog(run)`` reads what a run has recorded, ``Stream(experiment)`` a copy of what players
send now, and ``Games(policy)`` plays with a policy here. Each gives session batches, and cuts
them into transitions, sequences or samples of a replay. For training outside tinyqueue's own
learner: nothing that players import imports it.
"""

from tinyqueue.datasets.dataset import Dataset, Prefetch
from tinyqueue.datasets.games import Games
from tinyqueue.datasets.items import LoggedItems
from tinyqueue.datasets.mixers import InOrder, ReplayMixer
from tinyqueue.datasets.session_log import SessionLog
from tinyqueue.datasets.stream import Stream

__all__ = [
    "Dataset",
    "Games",
    "InOrder",
    "LoggedItems",
    "Prefetch",
    "ReplayMixer",
    "SessionLog",
    "Stream",
]
