"""The newest policy, fetched in the background: a slow store never holds up play."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.wire.weights import WeightVersion

POLL_S = 0.01
IDLE_S = 30.0
_RETRY_S = 0.5
_REST_S = 60.0

log = structlog.get_logger(__name__)


class NewestPolicy:
    """Follows the head version of one experiment.

    A thread asks for weights newer than the present ones, prepares them, and swaps them in; the
    play loop reads :meth:`newest` between session batches. After any error the present weights
    stay. The thread rests while nobody plays.

    Args:
        graph: The acting graph, ONNX without weights.
        graph_sha256, run: Weights for another graph or run are ignored.
        fetch_if_newer: Asks the store for a version above the given one.
    """

    def __init__(
        self,
        graph: bytes,
        graph_sha256: str,
        run: str,
        fetch_if_newer: Callable[[int], WeightVersion | None],
    ) -> None:
        self._graph = graph
        self._graph_sha256 = graph_sha256
        self._run = run
        self._fetch_if_newer = fetch_if_newer
        self._runner: PolicyRunner | None = None
        self._seen = -1
        self._used_s = time.monotonic()
        self._wake = threading.Event()
        self._arrived = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._follow, name="weights", daemon=True)
        self._thread.start()

    def newest(self, timeout_s: float) -> PolicyRunner | None:
        """The newest policy fetched so far.

        Waits up to ``timeout_s`` seconds for the first one; returns None if none came.
        """
        self._used_s = time.monotonic()
        self._wake.set()
        if self._runner is None:
            self._arrived.wait(timeout_s)
        return self._runner

    def close(self) -> None:
        """Ends the thread, without waiting for it."""
        self._closed = True
        self._wake.set()

    def _follow(self) -> None:
        failing = False
        while not self._closed:
            # Cleared before looking, so that a call in between is not missed.
            self._wake.clear()
            if time.monotonic() - self._used_s > IDLE_S and not self._closed:
                self._wake.wait(_REST_S)
                continue
            try:
                self._take(self._fetch_if_newer(self._seen))
                failing = False
                time.sleep(POLL_S)
            except Exception as error:
                # Whatever it was, bad weights must not end the thread that fetches better ones.
                if not failing:
                    log.warning(
                        "weights not fetched; playing on with the present ones", error=repr(error)
                    )
                failing = True
                time.sleep(_RETRY_S)

    def _take(self, weights: WeightVersion | None) -> None:
        if weights is None:
            return
        self._seen = weights.version
        if weights.run != self._run or weights.graph_sha256 != self._graph_sha256:
            return
        if self._runner is None:
            self._runner = PolicyRunner(
                self._graph, weights.arrays, weights.version, weights.env_steps
            )
        else:
            self._runner = self._runner.with_weights(
                weights.arrays, weights.version, weights.env_steps
            )
        self._arrived.set()
