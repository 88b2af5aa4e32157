"""Given whatever a sender writes into headers: only known ones pass, as text and counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyqueue.data.session import SessionBatch
from tinyqueue.wire.message_headers import (
    KNOWN_HEADERS,
    MOST_PROPERTY,
    known_headers,
    known_property,
)
from tinyqueue.wire.sessions import encode_session

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.dates()
    | st.sampled_from(["x" * 100_000, "\ud800", "a\x1b]0;pwned\x07", 2**63, -1])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.binary(), inner),
    max_leaves=8,  # nothing that is nested passes, however large it is
)
keys = st.sampled_from(sorted(KNOWN_HEADERS)) | st.text() | st.binary()


@given(st.dictionaries(keys, values))
def test_what_passes_is_known_typed_small_and_fit_for_json(raw: dict[Any, Any]) -> None:
    passed = known_headers(raw)

    assert passed.keys() <= KNOWN_HEADERS.keys()
    for name, value in passed.items():
        assert type(value) is KNOWN_HEADERS[name]
        assert raw[name] == value
    json.dumps(passed).encode()
    assert len(json.dumps(passed)) < 20_000


@given(values)
def test_a_property_is_short_printable_text_or_nothing(value: object) -> None:
    passed = known_property(value)

    assert passed in (value, "")
    assert len(passed) <= MOST_PROPERTY
    assert passed.isprintable()


def test_the_headers_of_a_session_all_pass(make_batch: Callable[..., SessionBatch]) -> None:
    written = encode_session(make_batch(8, 4), "lz4").headers

    assert written.keys() == KNOWN_HEADERS.keys()
    assert known_headers(written) == written
    assert known_headers({**written, b"\xff": "x", "x": "A" * 131_000}) == written


@pytest.mark.parametrize("name", sorted(KNOWN_HEADERS))
@pytest.mark.parametrize("value", [True, 1.0, b"1", [1], {"a": 1}, None, "x" * 257, 2**63, -1])
def test_a_header_of_another_type_counts_as_missing(name: str, value: object) -> None:
    assert known_headers({name: value}) == {}
