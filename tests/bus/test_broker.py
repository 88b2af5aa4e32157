from __future__ import annotations

import ssl

import pytest

from tinyqueue.bus.broker import Broker
from tinyqueue.errors import ConfigError, ServiceUnreachableError


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("amqp://guest:guest@localhost:5672//", "rabbitmq"),
        ("amqps://host/", "rabbitmq"),
        ("redis://localhost/0", "redis"),
        ("rediss://localhost/0", "redis"),
        ("redis+socket:///tmp/redis.sock", "redis"),
    ],
)
def test_the_url_says_which_broker_and_so_what_it_offers(url: str, kind: str) -> None:
    broker = Broker(url)

    assert broker.kind == kind
    offered = kind == "rabbitmq"
    assert broker.confirms is offered
    assert broker.reports_no_route is offered


def test_another_broker_is_an_error_that_names_those_that_work() -> None:
    with pytest.raises(ConfigError, match=r"'sqs'.*amqp.*redis\+socket"):
        Broker("sqs://key:secret@")


def test_passwords_are_masked_in_every_one_of_several_urls() -> None:
    masked = Broker("amqp://a:one@h1//;amqp://b:two@h2//").masked_url

    assert masked == "amqp://a:***@h1//;amqp://b:***@h2//"


def test_an_unreachable_broker_is_said_without_its_password() -> None:
    with pytest.raises(ServiceUnreachableError) as caught:
        Broker("amqp://guest:secret@127.0.0.1:1//").open()

    assert "127.0.0.1:1" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_tls_is_verified_and_takes_its_files_from_the_url() -> None:
    connection = Broker("amqps://u:p@rabbit.example//?ssl_ca_certs=/etc/ca.pem").connection()

    assert connection.ssl == {
        "cert_reqs": ssl.CERT_REQUIRED,
        "server_hostname": "rabbit.example",
        "ca_certs": "/etc/ca.pem",
    }
    assert Broker("rediss://h/0").connection().ssl == {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_check_hostname": True,
    }
