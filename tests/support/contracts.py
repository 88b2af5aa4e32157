"""What a contract says of a session batch, and batches made for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tinyqueue.data.episodes import Episodes
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array
from tinyqueue.errors import MessageError
from tinyqueue.wire.contract import Contract

MakeBatch = Callable[..., SessionBatch]
MakeContract = Callable[..., Contract]


def refusal(contract: Contract, batch: SessionBatch) -> str:
    """Why the contract refuses the batch."""
    with pytest.raises(MessageError) as refused:
        contract.check(batch)
    return refused.value.reason


def quiet_batch(make_batch: MakeBatch, **arrays: Any) -> SessionBatch:
    """A batch in which no episode ends, with some of its arrays replaced."""
    batch = make_batch()
    never = np.zeros((8, 4), bool)
    quiet = replace(
        batch, terminated=never, truncated=never, valid=~never, episodes=Episodes.none()
    )
    return replace(quiet, **arrays)


def with_value(array: Array, index: Any, value: Any) -> Array:
    copy = array.copy()
    copy[index] = value
    return copy
