"""A failed task as a message: cut to size, and refused where it is not one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyqueue.errors import MessageError
from tinyqueue.wire.failures import MOST_TEXT, TaskFailure, decode_failure, encode_failure

FAILURE = TaskFailure("t", "pole", "r", "OSError", "no display", "host:1", "me")


def test_what_was_told_is_what_is_heard() -> None:
    assert decode_failure(encode_failure(FAILURE)) == FAILURE


@given(st.text(max_size=3000), st.text(max_size=300))
def test_whatever_an_exception_says_travels_as_one_short_printable_line(
    text: str, kind: str
) -> None:
    heard = decode_failure(encode_failure(replace(FAILURE, text=text, kind=kind)))

    assert len(heard.text) <= MOST_TEXT
    assert heard.text.isprintable()
    assert heard.kind


@given(st.binary(max_size=200))
def test_other_bytes_are_refused_and_nothing_else(body: bytes) -> None:
    with pytest.raises(MessageError):
        decode_failure(body)


@given(st.integers(0, len(encode_failure(FAILURE)) - 1), st.integers(0, 255))
def test_a_changed_byte_is_refused_or_another_failure(place: int, byte: int) -> None:
    body = bytearray(encode_failure(FAILURE))
    body[place] = byte
    try:
        decode_failure(bytes(body))
    except MessageError:
        return
