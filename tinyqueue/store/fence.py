"""The fence in front of everything a learner writes: nothing once another has replaced it.

The comparison runs inside Redis, in the script that writes. A learner that was frozen between
its own check and the write, or whose machine was suspended, still overwrites nothing.
"""

from __future__ import annotations

from tinyqueue.errors import StaleEpochError

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


def stale(what: str, experiment: str, epoch: int, newer: bytes) -> StaleEpochError:
    """The error for a write that the fence refused."""
    return StaleEpochError(
        f"{what} of {experiment!r} was refused: this learner's epoch is {epoch}, and one of epoch "
        f"{int(newer)} has replaced it. Stop this learner."
    )
