"""From delivery to experience to ack: each batch is accepted once.

Runs in the consumer's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from tinyqueue.bus.messages import Delivery, Settle
from tinyqueue.data.identity import parse_batch_id
from tinyqueue.data.session import Header, SessionBatch
from tinyqueue.errors import MessageError
from tinyqueue.experience.setbacks import Setbacks
from tinyqueue.experience.source import Arrival, Experience
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.ledger.marks import Mark
from tinyqueue.wire.contract import Contract
from tinyqueue.wire.evaluation_signs import SIGN_TYPE, EvaluationSign, decode_sign
from tinyqueue.wire.evaluations import EVALUATION_TYPE, EvaluationResult, decode_evaluation
from tinyqueue.wire.failures import FAILURE_TYPE, TaskFailure, decode_failure
from tinyqueue.wire.limits import Limits
from tinyqueue.wire.sessions import SESSION_TYPE, decode_session

Settling = Settle[Mark | None]
"""Mark None: the message is no session batch, so the ledger records nothing."""

log = structlog.get_logger(__name__)


class Ingest:
    """Receives deliveries, and settles them when their fate is known.

    Args:
        contract: What a batch of this run must look like.
        ledger: Knows what has been accepted, and so what is a duplicate.
        experience: Receives valid batches.
        max_policy_lag: Batches with a larger lag are dropped as stale; None: none are.
        head: Returns the newest published version.
        heard: Called with the player's name, the tasks that it has ended, and the seconds that
            its batch took.
        failed: Called with every task that a player could not play.
        setbacks: Counts what is set aside, clipped and accepted.
        evaluated: Called with every evaluation result, and every sign that one is being played.
        check_lease: Raises if this learner may not accept anything any more.
    """

    def __init__(  # noqa: PLR0913  # whom it tells of what, by name
        self,
        contract: Contract,
        ledger: Ledger,
        experience: Experience,
        *,
        max_policy_lag: int | None,
        head: Callable[[], int],
        heard: Callable[[str, Sequence[str], float], None],
        failed: Callable[[TaskFailure], None],
        setbacks: Setbacks,
        evaluated: Callable[[EvaluationResult | EvaluationSign], None],
        check_lease: Callable[[], None],
    ) -> None:
        self._contract = contract
        self._ledger = ledger
        self._experience = experience
        self._max_policy_lag = max_policy_lag
        self._head = head
        self._heard = heard
        self._failed = failed
        self._setbacks = setbacks
        self._evaluated = evaluated
        self._check_lease = check_lease
        self._limits = Limits()

    def on_delivery(self, delivery: Delivery, settle: Settling) -> None:
        """Handles one message, in the consumer's thread.

        Args:
            delivery: The message.
            settle: Ends the delivery with its fate; it may be called later, from any thread.
        """
        if delivery.content_type in (EVALUATION_TYPE, SIGN_TYPE):
            self._take_evaluation(delivery, settle)
            return
        if delivery.content_type == FAILURE_TYPE:
            self._take_failure(delivery, settle)
            return
        batch_id = delivery.message_id
        # The consumer ensures that a batch that is not settled yet does not come here again.
        if self._ledger.knows(batch_id):
            settle(delivery, Mark(batch_id, "duplicate"))
            return
        player = ""
        try:
            if delivery.content_type != SESSION_TYPE:
                raise MessageError("type", f"content type {delivery.content_type!r}")
            batch = decode_session(delivery.body, delivery.headers, self._limits)
            header = batch.header
            if header.run == self._contract.run:
                # Even if the batch is rejected: the task is over, and the player is alive.
                player = header.player
                self._heard(player, header.ended_tasks, header.play_s)
            batch, clipped, count = self._contract.clipped(batch)
            self._check(batch, batch_id)
        except MessageError as error:
            self._set_aside(delivery, settle, error, player)
            return
        reason = self._reason_to_drop(header)
        if reason:
            self._drop(delivery, settle, header, reason)
            return
        if header.faults:
            self._setbacks.fault(player, header.fault, header.faults)
        if clipped:
            self._setbacks.clipped(count, clipped, player)
        self._setbacks.accepted()
        self._experience.offer(Arrival(batch, delivery, settle))

    def commit(self, settled: Sequence[tuple[Delivery, Mark | None]]) -> None:
        """Records a group in one ledger transaction before it is acked, in the consumer's thread.

        Args:
            settled: Deliveries and their marks.

        Raises:
            LeaseLostError: Another learner has taken over.
            DiskFullError, RunDirectoryError: As in ``Ledger.record``; nothing was recorded.
        """
        # Once the lease has passed to another learner, accepting is up to that one.
        self._check_lease()
        marks = [mark for _, mark in settled if mark is not None]
        for mark, recorded in zip(marks, self._ledger.record(marks), strict=True):
            if mark.fate == "accepted" and mark.batch_id is not None:
                self._experience.committed(mark.batch_id, recorded.number)

    def _check(self, batch: SessionBatch, batch_id: str) -> None:
        header = batch.header
        if header.batch_id != batch_id:
            raise MessageError("malformed", f"message id {batch_id!r} is not the batch's id")
        if header.experiment == self._contract.experiment and header.run != self._contract.run:
            # In flight from an earlier run's players, which is no fault: dropped, unchecked.
            return
        self._contract.check(batch)
        if header.policy_version > self._head():
            raise MessageError("version", f"policy version {header.policy_version} is unknown")

    def _reason_to_drop(self, header: Header) -> str:
        if header.run != self._contract.run:
            return "other run"
        lag = self._head() - header.policy_version
        return "stale" if self._max_policy_lag is not None and lag > self._max_policy_lag else ""

    def _drop(self, delivery: Delivery, settle: Settling, header: Header, reason: str) -> None:
        if header.run == self._contract.run:
            mark = Mark(header.batch_id, "dropped", reason, announced=header.dropped)
        else:
            # The stage belongs to another run's ledger: only this message is counted here.
            mark = Mark(None, "dropped", reason)
        settle(delivery, mark)

    def _set_aside(
        self, delivery: Delivery, settle: Settling, error: MessageError, player: str
    ) -> None:
        self._setbacks.aside(error.reason, error.detail, player)
        log.warning("message set aside", batch=delivery.message_id, reason=str(error))
        batch_id = delivery.message_id if parse_batch_id(delivery.message_id) else None
        settle(delivery, Mark(batch_id, "set aside", error.reason), set_aside=error.reason)

    def _take_failure(self, delivery: Delivery, settle: Settling) -> None:
        try:
            failure = decode_failure(delivery.body)
        except MessageError as error:
            settle(delivery, None, set_aside=error.reason)
            return
        if (failure.experiment, failure.run) == (self._contract.experiment, self._contract.run):
            self._failed(failure)
        settle(delivery, None)

    def _take_evaluation(self, delivery: Delivery, settle: Settling) -> None:
        decode = decode_sign if delivery.content_type == SIGN_TYPE else decode_evaluation
        try:
            self._evaluated(decode(delivery.body))
        except MessageError as error:
            settle(delivery, None, set_aside=error.reason)
            return
        settle(delivery, None)
