"""Publishes weights so that players can always find them, whatever happens to the store."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from tinyqueue.errors import (
    ConfigError,
    LeaseLostError,
    NotNowError,
    ServiceUnreachableError,
    StaleEpochError,
    TinyqueueError,
)
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.store.specs import SpecStore
from tinyqueue.store.weights import WeightStore
from tinyqueue.wire.weights import WeightVersion

PATIENCE_S = 0.1
"""How long a publish waits for :meth:`WeightPublisher.heal`, which takes a millisecond."""

log = structlog.get_logger(__name__)


class WeightPublisher:
    """Publishes versions, and publishes spec and newest version again if the store has lost them.

    The thread that trains publishes. Once that has failed, publishing rests: training only leaves
    the newest version here, without asking the store, until :meth:`heal` has published it from
    another thread. So a store that does not answer holds up training once, for one time-out.

    Args:
        weights: Store of this experiment's weight versions.
        specs: Store of the spec and the acting graph.
        spec, graph: What players play.
        epoch: Epoch of the learner's lease.
        check: Raises while this learner may not publish.
        replaced: Told that another learner has taken over. It is not raised in :meth:`publish`:
            the update before it must first be marked as trained on.
        waiting: Told how many versions wait to be published, and why; 0 once none does.
    """

    def __init__(
        self,
        weights: WeightStore,
        specs: SpecStore,
        spec: PlaySpec,
        graph: bytes,
        *,
        epoch: int,
        check: Callable[[], None],
        replaced: Callable[[TinyqueueError], None],
        waiting: Callable[[int, str], None] = lambda number, why: None,
    ) -> None:
        self._weights = weights
        self._specs = specs
        self._spec = spec
        self._graph = graph
        self._epoch = epoch
        self._check = check
        self._replaced = replaced
        self._newest: WeightVersion | None = None
        self._taken = -1
        self._sending = threading.Lock()
        self._waiting = waiting
        self._rests = False
        self._unpublished, self._why = 0, ""

    def publish_spec(self) -> None:
        """Publishes the spec and the acting graph.

        Raises:
            NotNowError: The store did not accept them, or the lease is not renewed.
            LeaseLostError, StaleEpochError: Another learner has taken over.
        """
        self._check()
        self._specs.publish(self._spec, self._graph, self._epoch)

    def publish(self, weights: WeightVersion) -> None:
        """Publishes a version, or leaves it to :meth:`heal` if that is not possible now."""
        self._newest = weights
        if self._rests:
            self._wait()
            return
        if not self._sending.acquire(timeout=PATIENCE_S):
            self._rest("the store is slow to answer")
            return
        try:
            self._check()
            self._send(weights)
        except NotNowError as error:
            self._rest(str(error))
        except (LeaseLostError, StaleEpochError) as error:
            self._rest(str(error))
            self._replaced(error)
        finally:
            self._sending.release()

    def pin(self, version: int, ttl_s: float) -> None:
        """Keeps a version in the store for some seconds.

        Raises:
            ServiceUnreachableError: The store does not answer; at once while publishing rests.
            MissingVersionError: The version is not in the store.
        """
        if self._rests:
            raise ServiceUnreachableError("the store does not answer; weights wait to be published")
        self._weights.pin(version, ttl_s)

    def heal(self) -> None:
        """Publishes what the store has lost, or could not take before. For one thread.

        Raises:
            NotNowError: The store does not answer, or the lease is not renewed; try again later.
            LeaseLostError, StaleEpochError: Another learner has taken over.
        """
        try:
            self._heal()
        except (LeaseLostError, StaleEpochError) as error:
            self._replaced(error)
            raise

    def _heal(self) -> None:
        self._check()
        if not self._has_spec():
            log.warning("the store has lost the spec; published again")
            self.publish_spec()
        with self._sending:
            was_resting = self._rests
            newest = self._newest
            while newest is not None and (head := self._weights.head()) < newest.version:
                # A newer one may only be on its way.
                if not was_resting and head < self._taken:
                    log.warning("the store has lost the weights; published again")
                self._check()
                self._send(newest)
                # Training goes on meanwhile.
                newest = self._newest
            self._rests = False
            self._unpublished = 0
            self._waiting(0, "")
        if was_resting and newest is not None:
            log.info("weights are published again", version=newest.version)

    def _send(self, weights: WeightVersion) -> None:
        self._weights.publish(weights)
        self._taken = weights.version

    def _has_spec(self) -> bool:
        try:
            return self._specs.load(self._spec.experiment) == self._spec and self._specs.has_graph(
                self._spec
            )
        except ConfigError:
            return False

    def _rest(self, why: str) -> None:
        self._rests, self._why = True, why
        self._wait()
        log.warning("weights not published", error=why)

    def _wait(self) -> None:
        self._unpublished += 1
        self._waiting(self._unpublished, self._why)
