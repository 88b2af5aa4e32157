"""What a connection to either broker can do, for whoever does not want to know which it is."""

from __future__ import annotations

from typing import Protocol

from tinyqueue.bus.messages import Acks, Delivery, Outgoing, PublishOutcome


class ConsumingLink(Acks, Protocol):
    """One connection that session batches come by. After any exception it is not used again."""

    errors: tuple[type[BaseException], ...]
    """What trouble with the broker raises, in any method."""

    def fileno(self) -> int:
        """The socket to wait on."""

    def read(self) -> list[Delivery]:
        """What has arrived, when the socket is readable."""

    def tick(self) -> tuple[int, list[Delivery]]:
        """Call it each second. Messages that wait at the broker, and what arrived meanwhile."""

    def release(self) -> None:
        """Gives back what is in hand, and closes."""

    def close(self) -> None:
        """Closes at once: what is in hand goes back when the broker notices."""


class PublishingLink(Protocol):
    """One connection to publish by. After any exception it is not used again."""

    errors: tuple[type[BaseException], ...]
    """What trouble with the broker raises."""

    def send(self, outgoing: Outgoing, timeout_s: float) -> PublishOutcome:
        """Publishes, and waits for the broker's answer: anything but UNKNOWN.

        Raises:
            One of ``errors``: No answer in time. The message may arrive yet.
        """

    def close(self) -> None:
        """Closes at once."""
