"""A broker that refuses a learner's consumer for a while: it waits, says so, and goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from bus_ends import EXPERIMENT, Bus, goes_on

from tinyqueue.bus.broker import new_channel
from tinyqueue.bus.topology import dead_letter_queue, experience_queue, kept_queue
from tinyqueue.errors import ServiceUnreachableError

pytestmark = pytest.mark.integration

QUEUE = f"experience.{EXPERIMENT}"
ALL, NONE = ".*", "^$"


def vhost_of(bus: Bus) -> str:
    return urlsplit(bus.services.broker_url).path[1:]


def permit(bus: Bus, configure: str = ALL, write: str = ALL, read: str = ALL) -> None:
    rights = ", ".join(f'<<"{right}">>' for right in (configure, write, read))
    bus.services.node.eval(
        f'rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<"{vhost_of(bus)}">>, '
        f'{rights}, <<"tests">>).'
    )


def limit_queues(bus: Bus, most: int) -> None:
    limit = f'{{"max-queues": {most}}}'
    bus.services.node.ctl("set_vhost_limits", "--vhost", vhost_of(bus), limit)


def delete(bus: Bus) -> None:
    with bus.broker.open() as connection:
        channel = new_channel(connection)
        for name in (QUEUE, f"{QUEUE}.kept"):
            channel.queue_delete(name)


def declare(bus: Bus) -> None:
    with bus.broker.open() as connection:
        for queue in (dead_letter_queue(), kept_queue(EXPERIMENT, 2, 3)):
            queue(new_channel(connection)).declare()
        bound: Any = experience_queue(EXPERIMENT, 2)(new_channel(connection))
        bound.exchange.declare()
        bound.declare()


def refuse_queues(bus: Bus) -> None:
    limit_queues(bus, 0)
    delete(bus)


Change = Callable[[Bus], object]
REFUSALS: dict[str, tuple[Change, Change]] = {
    "no permission": (lambda bus: permit(bus, NONE, NONE, NONE), permit),
    "none to configure": (lambda bus: permit(bus, configure=NONE), permit),
    "none to read": (lambda bus: permit(bus, read=NONE), permit),
    "no queue": (delete, declare),
    "no room for queues": (refuse_queues, lambda bus: limit_queues(bus, -1)),
}


@pytest.mark.parametrize("declares", [True, False], ids=["declares", "may-not-declare"])
@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_refuses_a_reconnect_is_waited_for(bus: Bus, refusal: str, declares: bool) -> None:
    refuse, permit_again = REFUSALS[refusal]
    declare(bus)
    consumer = bus.started(declare=declares)
    goes_on(bus, consumer, "before")

    refuse(bus)
    bus.cut()
    # Time for more than one attempt.
    time.sleep(3.0)
    assert consumer.error is None
    permit_again(bus)
    if refusal == "no room for queues" and not declares:
        declare(bus)

    goes_on(bus, consumer, "after", within_s=20)
    assert consumer.error is None


def test_a_vhost_without_room_for_a_queue_is_named_at_the_start(bus: Bus) -> None:
    limit_queues(bus, 0)

    with pytest.raises(ServiceUnreachableError, match="queue limit"):
        bus.started()
