"""From delivery to experience to ack: each batch is accepted once.

Runs in the consumer's thread. Who sent a message is what the broker has checked, never what the
message says: whatever a login sends can cost its own batches, and nobody else's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from tinyqueue.bus.allowance import Allowance
from tinyqueue.bus.messages import Delivery, Settle
from tinyqueue.data.identity import parse_batch_id
from tinyqueue.data.seen_episodes import SeenEpisodes
from tinyqueue.data.session import Drop, Header, SessionBatch
from tinyqueue.errors import MessageError
from tinyqueue.experience.setbacks import Setbacks
from tinyqueue.experience.source import Arrival, Experience
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.ledger.marks import Mark
from tinyqueue.wire.claims import clipped_returns, near_info
from tinyqueue.wire.contract import Contract
from tinyqueue.wire.evaluation_signs import SIGN_TYPE
from tinyqueue.wire.evaluations import EVALUATION_TYPE
from tinyqueue.wire.failures import FAILURE_TYPE, TaskFailure, decode_failure
from tinyqueue.wire.session_limits import session_limits
from tinyqueue.wire.sessions import SESSION_TYPE, decode_session

Settling = Settle[Mark | None]
"""Mark None: the message is no session batch, so the ledger records nothing."""

LOGGED_AT_ONCE, LOGGED_PER_S = 20, 1.0
"""Lines in the log, for each login, about messages that are set aside; all are counted."""
_MOST_LOGINS = 256

log = structlog.get_logger(__name__)


def no_credits(number: int, play_s: float, settle: Settling) -> Settling:
    """``settle``, where batches are played without credits."""
    return settle


class Ingest:
    """Receives deliveries, and settles them when their fate is known.

    Args:
        contract: What a batch of this run must look like.
        ledger: Knows what has been accepted, and so what is a duplicate.
        experience: Receives valid batches.
        max_policy_lag: Batches with a larger lag are dropped as stale; None: none are.
        head: Returns the newest published version.
        heard: Called with the login, the player's name, the tasks that it has ended, and the
            seconds that its batch took. The name is empty if its batch is set aside: a task is
            over then, but nothing says that the player is one.
        failed: Called with every task that a player could not play, and the player's login.
        setbacks: Counts what is set aside, clipped and accepted.
        evaluated: Called with every message of a worker about an evaluation; raises MessageError
            if it is to be set aside.
        check_lease: Raises if this learner may not accept anything any more.
        credited: Called with a batch's credit, the seconds that it took to play, and what ends its
            delivery; returns what ends it and gives the credit back.
    """

    def __init__(  # noqa: PLR0913  # whom it tells of what, by name
        self,
        contract: Contract,
        ledger: Ledger,
        experience: Experience,
        *,
        max_policy_lag: int | None,
        head: Callable[[], int],
        heard: Callable[[str, str, Sequence[str], float], None],
        failed: Callable[[TaskFailure, str], None],
        setbacks: Setbacks,
        evaluated: Callable[[Delivery], None],
        check_lease: Callable[[], None],
        credited: Callable[[int, float, Settling], Settling] = no_credits,
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
        self._credited = credited
        self._limits = session_limits(contract)
        self._seen = SeenEpisodes()
        self._may_log: dict[str, Allowance] = {}

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
        batch_id, login = delivery.message_id, delivery.login
        if not self._ledger.may_use(batch_id, login):
            told = f"the stage of {batch_id} is not one of login {login!r}"
            self._set_aside(delivery, settle, MessageError("login", told))
            return
        # The consumer ensures that a batch that is not settled yet does not come here again.
        if self._ledger.knows(batch_id, login):
            settle(delivery, Mark(batch_id, "duplicate", login=login))
            return
        checked = self._checked(delivery, settle)
        if checked is not None:
            batch, settle = checked
            self._take_session(batch, delivery, settle)

    def _checked(
        self, delivery: Delivery, settle: Settling
    ) -> tuple[SessionBatch, Settling] | None:
        """The batch, as the contract wants it, and what ends it; None if it was set aside."""
        header: Header | None = None
        try:
            if delivery.content_type != SESSION_TYPE:
                raise MessageError("type", f"content type {delivery.content_type!r}")
            batch = decode_session(delivery.body, delivery.headers, self._limits)
            self._check_sender(batch.header, delivery)
            header = batch.header
            settle = self._credited(header.credit, header.play_s, settle)
            if header.run == self._contract.run:
                self._ledger.claim(header.batch_id, delivery.login)
            given = batch
            batch, clipped, count = self._contract.clipped(given)
            self._check(batch)
        except MessageError as error:
            player = ""
            announced: tuple[Drop, ...] = ()
            if header is not None:
                player = header.player
                if header.run == self._contract.run:
                    self._heard(delivery.login, "", header.ended_tasks, 0.0)
                    # Nobody tells of them again.
                    announced = header.dropped
            self._set_aside(delivery, settle, error, player, announced)
            return None
        if header.run != self._contract.run:
            return batch, settle
        if clipped and not self._is_stale(header):
            self._setbacks.clipped(count, clipped, header.player, delivery.login)
        return self._with_seen_episodes(batch, given, delivery.login), settle

    def _with_seen_episodes(
        self, batch: SessionBatch, given: SessionBatch, login: str
    ) -> SessionBatch:
        """The batch with the episodes that its rewards prove, before any clipping of those."""
        is_clipped = given is not batch
        claimed = replace(batch, episodes=given.episodes) if is_clipped else batch
        seen = self._seen.of(claimed, given.rewards if is_clipped else None)
        player = batch.header.player
        if seen.contradicted:
            told = f"{seen.text}; what rewards add up to is shown and averaged"
            self._setbacks.not_believed("returns", seen.contradicted, told, player, login)
        episodes, told, far = near_info(seen.episodes, self._contract.info_limits)
        if far:
            self._setbacks.not_believed("info", far, told, player, login)
        if is_clipped and len(episodes):
            episodes, _, _ = clipped_returns(episodes, self._contract.max_abs_reward)
        return replace(batch, episodes=episodes)

    def _take_session(self, batch: SessionBatch, delivery: Delivery, settle: Settling) -> None:
        header, login = batch.header, delivery.login
        if header.run != self._contract.run:
            # The stage belongs to another run's ledger: only this message is counted here.
            settle(delivery, Mark(None, "dropped", "other run", login=login))
            return
        batch_id = header.batch_id
        self._heard(login, header.player, header.ended_tasks, header.play_s)
        if self._is_stale(header):
            announced = header.dropped
            settle(delivery, Mark(batch_id, "dropped", "stale", announced=announced, login=login))
            return
        if header.faults:
            self._setbacks.fault(header.player, header.fault, header.faults, login)
        self._setbacks.accepted(login)
        self._experience.offer(Arrival(batch, delivery, settle))

    def refused(self, delivery: Delivery, error: MessageError) -> Mark | None:
        """Counts a message that the consumer sets aside by itself; returns its mark."""
        if delivery.content_type in (EVALUATION_TYPE, SIGN_TYPE, FAILURE_TYPE):
            return None
        self._setbacks.aside(error.reason, error.detail, "", delivery.login)
        mark = self._mark_aside(delivery, error.reason)
        if error.reason == "error" and mark.batch_id is not None:
            # A replay that has admitted it must not wait for its commit.
            self._experience.committed(mark.batch_id, 0)
        return mark

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

    def _check_sender(self, header: Header, delivery: Delivery) -> None:
        if header.batch_id != delivery.message_id:
            told = f"message id {delivery.message_id!r} is not the batch's id"
            raise MessageError("malformed", told)
        require_own_name(header.user, delivery.login)

    def _check(self, batch: SessionBatch) -> None:
        header = batch.header
        if header.experiment == self._contract.experiment and header.run != self._contract.run:
            # In flight from an earlier run's players, which is no fault: dropped, unchecked.
            return
        self._contract.check(batch)
        if header.policy_version > self._head():
            raise MessageError("version", f"policy version {header.policy_version} is unknown")

    def _is_stale(self, header: Header) -> bool:
        lag = self._head() - header.policy_version
        return self._max_policy_lag is not None and lag > self._max_policy_lag

    def _set_aside(
        self,
        delivery: Delivery,
        settle: Settling,
        error: MessageError,
        player: str = "",
        announced: tuple[Drop, ...] = (),
    ) -> None:
        self._setbacks.aside(error.reason, error.detail, player, delivery.login)
        if self._is_worth_a_line(delivery.login):
            log.warning(
                "message set aside",
                batch=delivery.message_id,
                login=delivery.login,
                reason=str(error),
            )
        mark = self._mark_aside(delivery, error.reason, announced)
        settle(delivery, mark, set_aside=error.reason)

    def _is_worth_a_line(self, login: str) -> bool:
        """Whether another message of this login may be logged: a flood must not fill the disk."""
        now_s = time.monotonic()
        if login not in self._may_log and len(self._may_log) >= _MOST_LOGINS:
            login = "*"
        allowance = self._may_log.setdefault(login, Allowance(LOGGED_AT_ONCE, now_s))
        return allowance.take(now_s, LOGGED_AT_ONCE, LOGGED_PER_S)

    def _mark_aside(
        self, delivery: Delivery, reason: str, announced: tuple[Drop, ...] = ()
    ) -> Mark:
        """The mark of a message that is set aside: with its id only if that is its sender's."""
        batch_id, login = delivery.message_id, delivery.login
        is_own = parse_batch_id(batch_id) and self._ledger.may_use(batch_id, login)
        if not is_own:
            return Mark(None, "set aside", reason, login=login)
        return Mark(batch_id, "set aside", reason, announced=announced, login=login)

    def _take_failure(self, delivery: Delivery, settle: Settling) -> None:
        try:
            failure = decode_failure(delivery.body)
            require_own_name(failure.user, delivery.login)
        except MessageError as error:
            settle(delivery, None, set_aside=error.reason)
            return
        if (failure.experiment, failure.run) == (self._contract.experiment, self._contract.run):
            self._failed(failure, delivery.login)
        settle(delivery, None)

    def _take_evaluation(self, delivery: Delivery, settle: Settling) -> None:
        try:
            self._evaluated(delivery)
        except MessageError as error:
            settle(delivery, None, set_aside=error.reason)
            return
        settle(delivery, None)


def require_own_name(user: str, login: str) -> None:
    """Refuses a message that names another login than its sender's.

    Args:
        user: The login that it names.
        login: The one that the broker has checked; empty where there are no logins.

    Raises:
        MessageError: They differ.
    """
    if login and user != login:
        raise MessageError(
            "login",
            f"login {login!r} sent it in the name of {user!r}. TINYQUEUE_USER must be the login "
            "of the broker's URL.",
        )
