"""What log lines for a person hold, and what they never do."""

import logging

import pytest
import structlog

from tinyqueue.cli.logs import log_to_stderr


@pytest.fixture(autouse=True)
def _logging_as_before():
    root = logging.getLogger()
    handlers, level, configured = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:], root.level = handlers, level
    structlog.configure(**configured)


def test_a_traceback_holds_no_local_variables_since_these_hold_passwords(capsys):
    log_to_stderr()

    def connect(url: str) -> None:
        raise RuntimeError(f"{len(url)} characters do not help")

    try:
        connect("amqp://player:hunter2@mq//")
    except RuntimeError:
        structlog.get_logger("test").exception("it ended")

    said = capsys.readouterr().err
    assert "it ended" in said
    assert "RuntimeError: 26 characters do not help" in said
    assert "in connect" in said
    assert "player:" not in said.replace('connect("amqp://player:hunter2@mq//")', "")
