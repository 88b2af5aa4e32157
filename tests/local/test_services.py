"""Whose broker and store a run on this machine uses."""

import pytest

from tinyqueue.errors import ServiceUnreachableError
from tinyqueue.local.services import local_services, resolve
from tinyqueue.settings import Settings
from tinyqueue.store.client import connect


@pytest.mark.parametrize(
    ("given", "resolved"),
    [
        ({}, "embedded"),
        ({"user": "alice"}, "embedded"),
        ({"broker_url": "amqp://rabbit"}, "configured"),
        ({"redis_url": "redis://store"}, "configured"),
    ],
)
def test_auto_takes_the_services_that_the_environment_names(given, resolved):
    assert resolve("auto", Settings(**given)) == resolved


@pytest.mark.parametrize("choice", ["embedded", "rabbitmq", "configured"])
def test_what_is_asked_for_is_taken(choice):
    assert resolve(choice, Settings(broker_url="amqp://rabbit")) == choice


def test_the_embedded_redis_is_both_and_ends_with_the_run():
    given = Settings(user="alice", play_queues="play.gpu", broker_url="amqp://elsewhere")

    with local_services("embedded", given) as services:
        settings = services.settings
        assert settings.broker.startswith("redis+socket://")
        with connect(settings.redis) as client:
            assert client.ping()
        assert (settings.user, settings.play_queues) == ("alice", ("play.gpu",))
        assert services.told == "embedded Redis"

    with pytest.raises(ServiceUnreachableError):
        connect(settings.redis)


def test_configured_services_are_told_without_passwords_and_not_started():
    given = Settings(broker_url="amqp://me:secret@rabbit//", redis_url="redis://:pw@store/0")

    with local_services("configured", given) as services:
        assert services.settings is given
        assert services.told == "amqp://me:***@rabbit// and redis://:***@store/0"


def test_services_end_with_an_error_too():
    with pytest.raises(KeyError), local_services("embedded", Settings()) as services:
        raise KeyError("training failed")

    with pytest.raises(ServiceUnreachableError):
        connect(services.settings.redis)
