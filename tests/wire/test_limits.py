"""Given the reasons for a refusal."""

from __future__ import annotations

import re
from pathlib import Path

import tinyqueue
from tinyqueue.wire.evaluations import MOST_GAMES
from tinyqueue.wire.limits import EVALUATION_LIMITS, REASONS, SESSION_LIMITS, WEIGHT_LIMITS


def _reasons_in_source() -> set[str]:
    root = Path(tinyqueue.__file__).parent
    raised = re.compile(r'MessageError\(\s*"([^"]*)"')
    return {code for file in root.rglob("*.py") for code in raised.findall(file.read_text())}


def test_every_reason_that_is_raised_is_explained() -> None:
    raised = _reasons_in_source()

    assert {"malformed", "autoreset", "hash"} <= raised
    assert raised <= set(REASONS)


def test_a_session_fits_the_smallest_message_limit_of_current_brokers() -> None:
    assert SESSION_LIMITS.body_bytes == 15 * 2**20 < 16 * 2**20
    assert SESSION_LIMITS.raw_bytes == 64 * 2**20


def test_evaluations_are_small_and_weights_fit_a_redis_string() -> None:
    assert EVALUATION_LIMITS.body_bytes == 96 * 2**10 > 8 * MOST_GAMES
    assert WEIGHT_LIMITS.body_bytes == 512 * 2**20
