"""An InHand with everything around it, without a broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinyqueue.bus.in_hand import InHand
from tinyqueue.bus.messages import Delivery
from tinyqueue.errors import (
    MessageError,
)


class Link:
    def __init__(self) -> None:
        self.acked: list[Any] = []

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        self.acked.extend(delivery.tag for delivery in deliveries)


class Shelf:
    """Stands for the dead letters; takes nothing while ``closed``."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, str]] = []
        self.closed = False

    def put(self, delivery: Delivery, reason: str) -> bool:
        if not self.closed:
            self.kept.append((delivery.message_id, reason))
        return not self.closed


class Desk:
    """An InHand with everything around it."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        shelf: Any = self.shelf
        self.taken: list[Delivery] = []
        self.groups: list[list[tuple[str, Any]]] = []
        self.error: Exception | None = None
        self.fails_on: dict[str, Exception] = {}
        self.refuses_with: Exception | None = None
        self.tries = 0
        self.in_hand = InHand(shelf, self, self.settle)

    def on_delivery(self, delivery: Delivery, settle: object) -> None:
        self.taken.append(delivery)
        self._fail(delivery, "taking")

    def refused(self, delivery: Delivery, error: MessageError) -> str:
        if self.refuses_with is not None:
            raise self.refuses_with
        return f"refused: {error.reason}"

    def settle(self, delivery: Delivery, mark: Any, set_aside: str | None = None) -> None:
        self.in_hand.settle(delivery, mark, set_aside)

    def commit(self, group: Sequence[tuple[Delivery, Any]]) -> None:
        self.tries += 1
        if self.error is not None:
            raise self.error
        for delivery, mark in group:
            self._fail(delivery, "recording" if str(mark).startswith("refused") else "committing")
        self.groups.append([(delivery.message_id, mark) for delivery, mark in group])

    def _fail(self, delivery: Delivery, when: str) -> None:
        error = self.fails_on.get(f"{when} {delivery.message_id}")
        if error is not None:
            raise error


def delivery(message_id: str, tag: int) -> Delivery:
    return Delivery(b"", {}, message_id, "x", tag=tag)
