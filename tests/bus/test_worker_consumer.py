"""What a worker says last that the broker has refused from its start."""

from __future__ import annotations

import pytest
from amqp.exceptions import AccessRefused

from tinyqueue.bus.worker_consumer import refused_text

BROKER = "amqp://me:***@broker.example//"
LOGIN = AccessRefused(
    "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.", (0, 0), "", 403
)
QUEUE = AccessRefused("ACCESS_REFUSED - access to queue 'evaluate' refused", (60, 20), "", 403)


def test_a_refused_login_is_a_matter_of_user_and_password() -> None:
    text = refused_text(LOGIN, BROKER, ["play"])

    assert "Correct user or password in TINYQUEUE_BROKER_URL" in text
    assert "permissions of a role" not in text
    assert "(0, 0)" not in text
    assert ".." not in text


@pytest.mark.parametrize(
    ("queues", "roles"),
    [
        (["play"], "(player, or visible-player to be seen in Flower)"),
        (["evaluate"], "(evaluator, for the queue evaluate)"),
        (["play", "evaluate"], "(evaluator, for the queue evaluate; for others player, or "),
    ],
)
def test_a_refused_queue_is_a_matter_of_its_role(queues: list[str], roles: str) -> None:
    text = refused_text(QUEUE, BROKER, queues)

    assert roles in text
    assert "access to queue 'evaluate' refused" in text
    assert "rabbitmq-permissions.tsv" in text
