"""The fence in front of everything a learner writes: nothing once another has replaced it.

The comparison runs inside Redis, in the script that writes. A learner that was frozen between
its own check and the write, or whose machine was suspended, still overwrites nothing.
"""

from __future__ import annotations

import redis

from tinyqueue.errors import ServiceUnreachableError, StaleEpochError
from tinyqueue.store.client import misread

FENCE = """
local function replaced_by(epoch_key, lease_key, epoch, run)
  local seen = redis.call('GET', epoch_key)
  if seen and tonumber(epoch) < tonumber(seen) then return seen end
  local lease = redis.call('HMGET', lease_key, 'epoch', 'run')
  if lease[1] and (lease[1] ~= epoch or lease[2] ~= run) then return lease[1] end
  return false
end
"""
"""Lua: the epoch of the learner that has replaced this one, or false. Redis may have lost the
epochs, but then a lease still tells."""


def stale(
    client: redis.Redis, what: str, experiment: str, epoch: int, newer: object
) -> StaleEpochError | ServiceUnreachableError:
    """The error for a write that the fence refused.

    Args:
        client: The client that was answered.
        what: What was to be written.
        experiment: The experiment.
        epoch: Epoch of this learner.
        newer: The script's answer: the epoch of the learner that has replaced this one. A learner
            ends only for that, and not for an answer to something else.
    """
    if not isinstance(newer, bytes) or not newer.isdigit():
        return misread(client, newer)
    return StaleEpochError(
        f"{what} of {experiment!r} was refused: this learner's epoch is {epoch}, and one of epoch "
        f"{int(newer)} has replaced it. Stop this learner."
    )
