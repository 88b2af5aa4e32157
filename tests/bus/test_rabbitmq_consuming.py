"""Whose a delivery is: by what RabbitMQ has checked, whatever its sender wrote into it."""

from __future__ import annotations

from typing import Any

import pytest

from tinyqueue.bus.rabbitmq_consuming import delivery_of
from tinyqueue.bus.topology import EXPERIENCE_EXCHANGE, KEPT_EXCHANGE


def login(exchange: str, **properties: Any) -> str:
    info = {
        "exchange": exchange,
        "routing_key": "cartpole.mallory",
        "redelivered": False,
        "delivery_tag": 1,
    }
    return delivery_of(b"body", properties, info).login


@pytest.mark.parametrize(
    "headers",
    [{}, {"x-death": []}, {"x-death": [{"reason": "expired"}]}, {"x-death": "?"}, {"login": "ada"}],
)
def test_headers_of_its_own_do_not_hide_a_sender(headers: dict[str, Any]) -> None:
    assert login(EXPERIENCE_EXCHANGE, application_headers=headers) == "mallory"


def test_a_message_that_was_moved_is_its_users_or_nobodys() -> None:
    assert login(KEPT_EXCHANGE, user_id="ada") == "ada"
    assert login(KEPT_EXCHANGE) == "?"
