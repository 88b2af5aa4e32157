"""What a connection to the broker can do, whichever broker it is."""

from __future__ import annotations

from typing import Protocol

from tinyqueue.bus.messages import Acks, Delivery, Outgoing, PublishOutcome


class ConsumingLink(Acks, Protocol):
    """One connection that receives session batches. After any exception it is not used again."""

    errors: tuple[type[BaseException], ...]
    """The exceptions that trouble with the broker raises, in any method."""

    def fileno(self) -> int:
        """The socket to wait on."""

    def read(self) -> list[Delivery]:
        """What has arrived. Call it when the socket is readable."""

    def tick(self) -> tuple[int, list[Delivery]]:
        """Call it once a second. Returns how many messages wait at the broker, and new arrivals."""

    def release(self) -> None:
        """Returns what is in hand to the broker, and closes."""

    def close(self) -> None:
        """Closes at once; what is in hand is requeued when the broker notices."""


class PublishingLink(Protocol):
    """One connection that publishes. After any exception it is not used again."""

    errors: tuple[type[BaseException], ...]
    """The exceptions that trouble with the broker raises."""

    def send(self, outgoing: Outgoing, timeout_s: float) -> PublishOutcome:
        """Publishes, and waits for the broker's answer: any outcome but UNKNOWN.

        Raises:
            One of ``errors``: No answer in time. The message may still arrive.
        """

    def waiting(self, experiment: str, timeout_s: float) -> int | None:
        """How many messages wait for the experiment's learner.

        None if the broker does not tell: the queue has another name, or the login may not ask. Then
        this connection is not used again.

        Raises:
            One of ``errors``: No answer in time.
        """

    def close(self) -> None:
        """Closes at once."""
