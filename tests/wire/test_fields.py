"""Given plain values that someone else wrote."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tinyqueue.errors import MessageError
from tinyqueue.wire.fields import Fields, is_short_text


@pytest.mark.parametrize(
    ("kind", "good"),
    [
        ("integer", 0),
        ("integer", 2**63 - 1),
        ("number", 0.5),
        ("text", ""),
        ("text", "nœud-3"),
        ("items", [1, "a"]),
        ("table", {"a": 1}),
        ("flag", False),
    ],
)
def test_a_value_of_its_type_is_taken(kind: str, good: Any) -> None:
    assert getattr(Fields({"x": good}), kind)("x") == good


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        ("integer", -1),
        ("integer", 2**63),
        ("integer", True),
        ("integer", 1.0),
        ("integer", "1"),
        ("number", float("nan")),
        ("number", float("inf")),
        ("number", -0.5),
        ("number", 1),
        ("text", "x" * 257),
        ("text", "\x1b[2J"),
        ("text", "two\nlines"),
        ("text", "\ud800"),
        ("text", b"bytes"),
        ("items", (1,)),
        ("table", [1]),
        ("flag", 1),
    ],
)
def test_any_other_value_is_refused_with_its_name(kind: str, bad: Any) -> None:
    with pytest.raises(MessageError, match="x = ") as refused:
        getattr(Fields({"x": bad}, "header"), kind)("x")
    assert refused.value.reason == "header"
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("kind", ["integer", "number", "text", "items", "table", "flag"])
def test_a_missing_value_is_called_missing(kind: str) -> None:
    with pytest.raises(MessageError, match="x is missing") as refused:
        getattr(Fields({}), kind)("x")
    assert refused.value.reason == "malformed"


def test_a_pattern_must_match_all_of_a_text() -> None:
    digits = re.compile("[0-9]+")

    assert Fields({"x": "42"}).text("x", digits) == "42"
    with pytest.raises(MessageError):
        Fields({"x": "42 "}).text("x", digits)


def test_short_text_is_printable_and_short() -> None:
    assert is_short_text("x" * 256)
    assert not is_short_text("x" * 257)
    assert not is_short_text("\u202e" + "reversed")
    assert not is_short_text(None)
