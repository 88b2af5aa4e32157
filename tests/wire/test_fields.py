"""Given plain values that someone else wrote."""

from __future__ import annotations

import re
import struct
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tinyqueue.errors import MessageError
from tinyqueue.wire.evaluations import decode_evaluation
from tinyqueue.wire.failures import decode_failure
from tinyqueue.wire.fields import Fields, is_short_text, shown


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


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
@example("x" * 2**20)
@example(bytes(2**20))
def test_any_value_is_shown_in_80_characters(value: Any) -> None:
    assert 0 < len(shown(value)) <= 80
    with pytest.raises(MessageError):
        Fields({"x": [value]}).integer("x")


def test_a_deep_value_is_shown_in_80_characters() -> None:
    nested: Any = [None]
    for _ in range(100_000):
        nested = [nested]
    told = shown({"a": nested})
    assert 0 < len(told) <= 80


def test_a_value_that_is_short_is_shown_as_it_is() -> None:
    assert [shown(value) for value in (None, -1, "x", b"x", [1, {"a": 2}])] == [
        "None",
        "-1",
        "'x'",
        "b'x'",
        "[1, {'a': 2}]",
    ]


def test_a_document_that_is_nested_deeply_is_refused() -> None:
    inner = b"\x91" * 1000 + b"\xc0"
    head = b"\x82" + msgpack.packb("schema") + inner + msgpack.packb("arrays") + b"\x90"
    for decode in (decode_failure, decode_evaluation):
        with pytest.raises(MessageError):
            decode(b"\xc6" + struct.pack(">I", len(head)) + head)
