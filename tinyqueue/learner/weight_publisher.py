"""Publishes weights so that players can always find them, whatever happens to the store."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from tinyqueue.errors import ServiceUnreachableError
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.store.specs import SpecStore
from tinyqueue.store.weights import WeightStore
from tinyqueue.wire.weights import WeightVersion

log = structlog.get_logger(__name__)


class WeightPublisher:
    """Publishes versions, and publishes spec and newest version again if the store has lost them.

    Args:
        weights: Store of this experiment's weight versions.
        specs: Store of the spec and the acting graph.
        spec, graph: What players play.
        check: Raises if this learner's lease is over; nothing is published then.
    """

    def __init__(
        self,
        weights: WeightStore,
        specs: SpecStore,
        spec: PlaySpec,
        graph: bytes,
        check: Callable[[], None],
    ) -> None:
        self._weights = weights
        self._specs = specs
        self._spec = spec
        self._graph = graph
        self._check = check
        self._newest: WeightVersion | None = None
        self._lock = threading.Lock()
        self._failing = False

    def publish_spec(self) -> None:
        """Publishes the spec and the acting graph.

        Raises:
            ServiceUnreachableError: The store did not accept them.
            LeaseLostError: Another learner has taken over.
        """
        self._check()
        self._specs.publish(self._spec, self._graph)

    def publish(self, weights: WeightVersion) -> None:
        """Publishes a version. If the store is unreachable, training goes on: this is logged once,
        and :meth:`heal` publishes the newest version when the store is back.

        Raises:
            LeaseLostError, StaleEpochError: Another learner has taken over.
        """
        self._check()
        with self._lock:
            self._newest = weights
            try:
                self._weights.publish(weights)
                self._failing = False
            except ServiceUnreachableError as error:
                if not self._failing:
                    log.warning("weights not published; training goes on", error=str(error))
                self._failing = True

    def heal(self) -> None:
        """Publishes again what the store has lost.

        Raises:
            ServiceUnreachableError: The store does not answer; try again later.
            LeaseLostError, StaleEpochError: Another learner has taken over.
        """
        if self._specs.load(self._spec.experiment) != self._spec:
            log.warning("the store has lost the spec; published again")
            self.publish_spec()
        with self._lock:
            newest = self._newest
            if newest is not None and self._weights.head() < newest.version:
                log.warning(
                    "the store has lost the weights; published again", version=newest.version
                )
                self._check()
                self._weights.publish(newest)
                self._failing = False
