"""The newest policy and its learner, watched in the background: a slow store holds up no play."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import structlog

from tinyqueue.bus.backoff import Reconnects
from tinyqueue.data.spaces import Space
from tinyqueue.errors import MissingVersionError, ServiceUnreachableError, TinyqueueError
from tinyqueue.player.learners import FRESH_S
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.policy.signature import Signature
from tinyqueue.wire.weights import WeightVersion

POLL_S = 0.01
LOOK_S = 0.25
"""How often the learner's lease is looked at."""
GONE_S = 10.0
"""A learner whose lease has been missing for so long is gone. For less, the store may have lost the
lease, or the learner its store; it will be back."""
IDLE_S = 5.0
"""Nobody plays: with many experiments in turn, only those being played are worth asking about."""
_REST_S = 60.0

log = structlog.get_logger(__name__)


class NewestPolicy:
    """Follows the head version of one experiment, and whether its run is still trained.

    A thread asks for weights newer than the present ones, prepares them, and swaps them in; the
    play loop reads :meth:`newest` between session batches. After any error the present weights
    stay. The thread rests while nobody plays.

    Args:
        graph: The acting graph, ONNX without weights.
        graph_sha256, run: Weights for another graph or run are ignored.
        fetch_if_newer: Asks the store for a version above the given one.
        trained_run: Asks the store which run is trained; None if there is no learner.
        require_playable: Raises ConfigError for a graph that does not fit what is played.
        warm_up: Slots and action space, if every version must have run once before it is played:
            the first run takes longer than others.
        idle_s: Time without a call of :meth:`newest` after which the thread rests: more than a
            batch takes; None: :data:`IDLE_S`.

    Attributes:
        refused: Why the newest version cannot be used, if it cannot.
    """

    def __init__(
        self,
        graph: bytes,
        graph_sha256: str,
        run: str,
        fetch_if_newer: Callable[[int], WeightVersion | None],
        trained_run: Callable[[], str | None],
        require_playable: Callable[[Signature], None],
        warm_up: tuple[int, Space] | None = None,
        idle_s: float | None = None,
    ) -> None:
        self._graph = graph
        self._graph_sha256 = graph_sha256
        self._run = run
        self._fetch_if_newer = fetch_if_newer
        self._trained_run = trained_run
        self._require_playable = require_playable
        self._warm_up = warm_up
        self._idle_s = idle_s
        self.refused: TinyqueueError | None = None
        self._ended = ""
        self._looked_s = self._alive_s = time.monotonic()
        self._looked = threading.Event()
        self._is_resting = self._is_failing = False
        self._retries = Reconnects(first_s=1.0)
        self._runner: PolicyRunner | None = None
        self._seen = -1
        self._used_s = time.monotonic()
        self._wake = threading.Event()
        self._arrived = threading.Event()
        self._hurry = threading.Event()
        self._swapped = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._follow, name="weights", daemon=True)
        self._thread.start()

    def newest(self, timeout_s: float) -> PolicyRunner | None:
        """The newest policy fetched so far.

        Waits up to ``timeout_s`` seconds for the first one; returns None if none came.
        """
        self._use()
        if self._runner is None:
            self._arrived.wait(timeout_s)
        return self._runner

    def at_least(self, version: int, timeout_s: float) -> PolicyRunner | None:
        """The newest policy, once it has this version; after ``timeout_s``, whatever there is."""
        deadline_s = time.monotonic() + timeout_s
        runner = self.newest(timeout_s)
        while runner is not None and runner.version < version:
            self._swapped.clear()
            self._hurry.set()
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                break
            # Not without end: it may have been swapped just before the flag was cleared.
            self._swapped.wait(min(left_s, POLL_S))
            runner = self.newest(0.0)
        return runner

    def ended(self) -> str:
        """Why there is nothing to play for: ``other run``, ``no learner``; empty if there is.

        What is said was true at most half a second ago, unless the store does not answer.
        """
        if self._is_resting:
            self._looked.clear()
            self._use()
            self._looked.wait(FRESH_S)
        return self._ended

    def _use(self) -> None:
        self._used_s = time.monotonic()
        self._wake.set()

    def close(self) -> None:
        """Ends the thread, without waiting for it."""
        self._closed = True
        self._wake.set()

    def _follow(self) -> None:
        while not self._closed:
            # Cleared before looking, so that a call in between is not missed.
            self._wake.clear()
            idle_s = IDLE_S if self._idle_s is None else self._idle_s
            if time.monotonic() - self._used_s > idle_s and not self._closed:
                self._is_resting = True
                self._wake.wait(_REST_S)
                self._looked_s = -math.inf
                continue
            try:
                self._look()
                self._take(self._fetch_if_newer(self._seen))
                self._is_failing = False
                self._retries.succeeded()
                self._is_resting = False
                self._looked.set()
                self._hurry.wait(POLL_S)
                self._hurry.clear()
            except Exception as error:
                # Whatever it was, bad weights must not end the thread that fetches better ones.
                self._note(error)
                self._is_resting = False
                time.sleep(self._retries.failed())

    def _note(self, error: Exception) -> None:
        if not self._is_failing:
            log.warning("weights not fetched; playing on with the present ones", error=repr(error))
        self._is_failing = True
        away = isinstance(error, ServiceUnreachableError | MissingVersionError)
        if isinstance(error, TinyqueueError) and not away:
            self.refused = error
            # A first version is not waited for in vain.
            self._arrived.set()

    def _look(self) -> None:
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_S:
            return
        run = self._trained_run()
        self._looked_s = now_s
        if run == self._run:
            self._alive_s = now_s
            self._ended = ""
        elif run is not None:
            self._ended = "other run"
        elif now_s - self._alive_s > GONE_S:
            self._ended = "no learner"

    def _take(self, weights: WeightVersion | None) -> None:
        if weights is None:
            return
        self._seen = weights.version
        if weights.run != self._run or weights.graph_sha256 != self._graph_sha256:
            return
        if self._runner is None:
            runner = PolicyRunner(self._graph, weights.arrays, weights.version, weights.env_steps)
            self._require_playable(runner.signature)
        else:
            runner = self._runner.with_weights(weights.arrays, weights.version, weights.env_steps)
        if self._warm_up is not None:
            runner.warm_up(*self._warm_up)
        self._runner = runner
        self.refused = None
        self._arrived.set()
        self._swapped.set()
