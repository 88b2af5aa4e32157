"""An outage of the broker is told once, soon, and its end too; a hiccup is not."""

from types import SimpleNamespace

import pytest

from tinyqueue.monitor.broker_outage import SAY_AFTER_S, BrokerOutage

REFUSED = "[Errno 111] Connection refused"
AWAY = (
    "the broker at rack:5672 cannot be reached ([Errno 111] Connection refused); experience waits "
    "with the players"
)


@pytest.fixture
def world():
    return SimpleNamespace(s=100.0, trouble="", is_told=False)


@pytest.fixture
def said():
    return []


@pytest.fixture
def outage(world, said):
    return BrokerOutage(
        "rack:5672",
        lambda: world.trouble,
        said.append,
        is_told=lambda: world.is_told,
        clock=lambda: world.s,
    )


def pass_s(world, outage, seconds):
    for _ in range(round(10 * seconds)):
        world.s += 0.1
        outage.tell()


def test_an_outage_is_told_once_within_five_seconds_and_its_end_once(world, outage, said):
    pass_s(world, outage, 2.0)
    world.trouble = "Connection reset by peer"
    pass_s(world, outage, 1.0)
    world.trouble = REFUSED
    pass_s(world, outage, 4.0)

    assert said == [AWAY]

    pass_s(world, outage, 600.0)
    world.trouble = ""
    pass_s(world, outage, 2.0)

    assert said == [AWAY, "the broker at rack:5672 can be reached again after 605 s"]

    world.trouble = REFUSED
    pass_s(world, outage, 5.0)
    assert said[2:] == [AWAY]


def test_a_connection_that_is_soon_made_again_is_not_told(world, outage, said):
    for _ in range(5):
        world.trouble = REFUSED
        pass_s(world, outage, SAY_AFTER_S - 0.5)
        world.trouble = ""
        pass_s(world, outage, 0.2)

    assert said == []


def test_an_outage_that_is_told_as_the_stores_is_told_only_if_it_outlasts_it(world, outage, said):
    world.trouble, world.is_told = REFUSED, True
    pass_s(world, outage, 20.0)
    assert said == []

    world.is_told = False
    pass_s(world, outage, 1.0)
    assert said == [AWAY]
