"""The right to train an experiment: one learner at a time, fenced by a rising epoch.

The lease is a hash in Redis with a time to live. Its holder extends it from a thread, and
may have no outside effect while its own deadline has passed. The deadline counts from *before*
the renewal was sent, so it is never later than the expiry in Redis.

A lease that could not be renewed is not lost. The thread keeps trying, however long Redis is away,
and the lease is valid again as soon as it was renewed. It is over only once another learner has
been seen to hold it or to have held it.

A run directory is locked to one process. A process that finds the lease held in the name of its
own run therefore knows that the holder is dead, and takes the lease over at once, under a new
epoch: a learner that was killed is back in service as soon as it is restarted.
"""

from __future__ import annotations

import contextlib
import math
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

import redis
import structlog

from tinyqueue.errors import (
    LeaseHeldError,
    LeaseLostError,
    LeaseNotRenewedError,
    ServiceUnreachableError,
)
from tinyqueue.settings import host_name
from tinyqueue.store.client import answering, misread
from tinyqueue.store.keys import Keys
from tinyqueue.store.lease_info import LeaseInfo, learner_is_alive, read_lease, request_stop

__all__ = ["LearnerLease", "LeaseInfo", "learner_is_alive", "read_lease", "request_stop"]

RETRY_S = 0.5
"""Pause after a failed renewal."""
_RENEWALS = 5
"""Renewals within the time to live: trouble is known well before the lease is at stake."""

log = structlog.get_logger(__name__)


def since_boot_s() -> float:
    """Seconds since the machine was started, those that it slept included.

    Redis goes on counting while a learner's machine is suspended. Linux's monotonic clock stops
    then; that of macOS does not.
    """
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


_WRITE = """
local function write(epoch)
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'token', ARGV[1], 'epoch', epoch, 'holder', ARGV[4],
             'host', ARGV[5], 'run', ARGV[6], 'since', redis.call('TIME')[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  redis.call('SET', KEYS[2], epoch)
end
local seen = tonumber(redis.call('GET', KEYS[2]) or '0')
local token = redis.call('HGET', KEYS[1], 'token')
"""
_ACQUIRE = (
    _WRITE
    + """
if token and redis.call('HGET', KEYS[1], 'run') ~= ARGV[6] then return -1 end
local epoch = string.format('%.0f', math.max(seen, tonumber(ARGV[3])) + 1)
write(epoch)
return tonumber(epoch)
"""
)
_RENEW = (
    _WRITE
    + """
if (token and token ~= ARGV[1]) or seen > tonumber(ARGV[3]) then return {0, ''} end
if token then redis.call('PEXPIRE', KEYS[1], ARGV[2]) else write(ARGV[3]) end
return {1, redis.call('GET', KEYS[3]) or ''}
"""
)
_RELEASE = """
if redis.call('HGET', KEYS[1], 'token') == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


class LearnerLease:
    """One learner's lease on one experiment.

    Args:
        client: May be shared with other threads.
        experiment, run: The run that is trained.
        holder: A name for people to read, such as the process id and run directory.
        ttl_s: How long the lease lasts without renewal; it is renewed every fifth of that.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        client: redis.Redis,
        experiment: str,
        run: str,
        holder: str,
        ttl_s: float = 15.0,
        clock: Callable[[], float] = since_boot_s,
    ) -> None:
        self._client = client
        self._experiment = experiment
        self._keys = Keys(experiment)
        self._who = (holder, host_name(), run)
        self._ttl_s = ttl_s
        self._clock = clock
        self._token = secrets.token_hex(16)
        self._epoch = 0
        self._deadline = -math.inf
        self._replaced_by = ""
        self._stop_requested = False
        self._renewed_s = -math.inf
        self.trouble = ""
        """Why the last renewal failed; empty while renewals succeed."""
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def epoch(self) -> int:
        """Epoch of this lease; 0 before :meth:`acquire`."""
        return self._epoch

    @property
    def is_valid(self) -> bool:
        """Whether this learner may act now. It may become true again, unless it was replaced."""
        return not self._replaced_by and self._clock() < self._deadline

    @property
    def is_replaced(self) -> bool:
        """Whether another learner has or had the lease since: this one is over for good."""
        return bool(self._replaced_by)

    @property
    def renewed_ago_s(self) -> float:
        """Seconds since the last renewal that succeeded."""
        return self._clock() - self._renewed_s

    @property
    def stop_requested(self) -> bool:
        """Whether ``learner stop`` was called for this lease, as of the last renewal."""
        return self._stop_requested

    def acquire(self, at_least_epoch: int) -> int:
        """Takes the lease, and keeps it until :meth:`release`.

        The caller holds the lock of the run's directory, so a lease of the same run belongs to a
        dead process and is taken over.

        Returns:
            The epoch: above ``at_least_epoch`` and above every epoch that Redis has seen.

        Raises:
            LeaseHeldError: A learner of another run holds it; the text names it.
            ServiceUnreachableError: Redis does not answer.
        """
        sent = self._clock()
        epoch = self._run(_ACQUIRE, at_least_epoch)
        if not isinstance(epoch, int):
            raise misread(self._client, epoch)
        if epoch < 0:
            raise LeaseHeldError(self._held())
        self._epoch = epoch
        self._renewed_s, self._deadline = sent, sent + self._ttl_s
        self._replaced_by, self._stop_requested = "", False
        self.trouble = ""
        self._ending.clear()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()
        return epoch

    def check(self) -> None:
        """Does nothing while the lease is valid; costs a microsecond.

        Raises:
            LeaseLostError: Another learner has it, or it was given up: end.
            LeaseNotRenewedError: It could not be renewed in time: do not ack, record or publish
                anything until it is.
        """
        if self.is_valid:
            return
        lease = f"the lease on {self._experiment!r} (epoch {self._epoch})"
        if self._replaced_by:
            raise LeaseLostError(
                f"{lease} was taken over by {self._replaced_by}. This learner stops."
            )
        if self._thread is None:
            raise LeaseLostError(f"{lease} is not held.")
        why = f" ({self.trouble})" if self.trouble else ""
        raise LeaseNotRenewedError(
            f"{lease} could not be renewed within {self._ttl_s:g} s{why}. Check that Redis answers "
            "and that this machine was not frozen."
        )

    def renew(self) -> bool:
        """Extends the lease now, and reads whether a stop was requested; the thread calls it too.

        A lease that has vanished, as after FLUSHALL, is written again if nobody else has had it.

        Returns:
            Whether it is held; False means that this learner was replaced.

        Raises:
            ServiceUnreachableError: Redis does not answer; the deadline is unchanged.
        """
        sent = self._clock()
        answer = self._run(_RENEW, self._epoch)
        if not isinstance(answer, list) or len(answer) != 2:
            raise misread(self._client, answer)
        held, stop = answer
        if not held:
            self._deadline = -math.inf
            self._replaced_by = self._successor()
            return False
        self._renewed_s = sent
        self._deadline = max(self._deadline, sent + self._ttl_s)
        self.trouble = ""
        self._stop_requested = self._stop_requested or stop == b"%d" % self._epoch
        return True

    def release(self) -> None:
        """Gives up the lease if it is still this learner's."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._deadline = -math.inf
        with contextlib.suppress(ServiceUnreachableError), answering(self._client):
            self._client.eval(_RELEASE, 1, self._keys.lease, self._token)

    def _keep(self) -> None:
        every_s = pause_s = self._ttl_s / _RENEWALS
        while not self._ending.wait(pause_s):
            try:
                if not self.renew():
                    return
                pause_s = every_s
            except Exception as error:
                if not self.trouble:
                    # Anything but an answer: this thread may not end while there is hope.
                    log.warning("lease not renewed; trying again", error=repr(error))
                self.trouble = str(error) or repr(error)
                pause_s = min(RETRY_S, every_s)

    def _run(self, script: str, epoch: int) -> Any:
        keys = self._keys
        arguments = (self._token, round(self._ttl_s * 1000), epoch, *self._who)
        with answering(self._client):
            return self._client.eval(script, 3, keys.lease, keys.epoch, keys.stop, *arguments)

    def _successor(self) -> str:
        try:
            info = read_lease(self._client, self._experiment)
        except (ServiceUnreachableError, KeyError, ValueError):
            return "another learner"
        return str(info) if info else "a learner that has since ended"

    def _held(self) -> str:
        info = read_lease(self._client, self._experiment)
        if info is None:
            return f"{self._experiment!r} was held by another learner a moment ago. Try again."
        return (
            f"{self._experiment!r} is being trained by {info}. Stop that learner, choose another "
            f"name, or, if it has crashed, try again in {math.ceil(info.ttl_s)} s."
        )
