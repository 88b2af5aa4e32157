"""Ids, fixed before a batch is first published.

``batch id = <stage id>:<n>``: the stage id is a random 128-bit id drawn when a pool
child builds its stage, and n counts its batches from 0. Every retry carries the same
id, so the learner can accept the batch exactly once.
"""

from __future__ import annotations

import re
import secrets

EXPERIMENT_PATTERN = re.compile(r"^[a-z0-9][a-z0-9_-]{0,47}\Z")
MOST_BATCHES = 10**18
"""Batches of one stage: their numbers have at most 18 digits."""
_BATCH_ID = re.compile(r"^([0-9a-f]{32}):(0|[1-9][0-9]{0,17})\Z")


def new_id() -> str:
    """A random 128-bit id, as 32 hexadecimal digits."""
    return secrets.token_hex(16)


def batch_id(stage: str, n: int) -> str:
    """``<stage>:<n>``, the id of a stage's n-th session batch."""
    return f"{stage}:{n}"


def parse_batch_id(text: str) -> tuple[str, int] | None:
    """``(stage, n)`` of a batch id, or None when the text is not one."""
    match = _BATCH_ID.fullmatch(text)
    return (match[1], int(match[2])) if match else None
