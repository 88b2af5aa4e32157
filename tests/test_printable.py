"""What others sent cannot be obeyed by a terminal, nor pass for a line of ours."""

from __future__ import annotations

import io
import json
import logging

import pytest
import structlog
from hostile import OBEYED, TEXTS, obeyed
from hypothesis import example, given
from hypothesis import strategies as st

from tinyqueue.printable import (
    MOST,
    make_printable,
    printable,
    printable_event,
    printable_lines,
)

anything = st.text(st.characters(), max_size=200) | st.text(st.sampled_from(OBEYED), max_size=50)


@pytest.mark.parametrize("show", [printable, printable_lines])
def test_every_code_point_that_is_obeyed_is_escaped(show):
    assert len(OBEYED) > 2_200
    for character in OBEYED:
        shown = show(f"a{character}b")
        assert obeyed(shown) == [], repr(character)
        if character != "\n":
            # Python reads it back.
            assert shown[1] == "\\"
            assert shown.encode().decode("unicode_escape") == f"a{character}b"


@given(anything, st.integers(30, 300))
@example("\ud800" * 100, 40)
@example("\n" * 100, 40)
def test_text_of_any_kind_is_one_line_within_its_bound(text, most):
    shown = printable(text, most)

    assert shown.isprintable()
    assert len(shown) <= most
    shown.encode()


@given(anything, st.integers(30, 300))
@example("a\r\nb\n\n c", 40)
def test_no_line_but_the_first_begins_at_the_margin(text, most):
    first, *others = printable_lines(text, most).split("\n")

    assert first.isprintable()
    assert all(line.isprintable() for line in others)
    assert all(line == "" or line.startswith((" ", "…")) for line in others)
    assert len(printable_lines(text, most)) <= most


@given(st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=MOST))
@example("ä – ε 日本 é \\ 🎲")
def test_plain_text_stays_as_it_is(text):
    assert printable(text) == printable_lines(text) == text


def test_a_long_text_says_how_long_it_was():
    assert printable("x" * 5_000, 40) == "x" * 20 + "… (5,000 characters)"
    assert printable("\x1b" * 20, 40).startswith(r"\x1b\x1b\x1b")


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("kind", [str, lambda text: [text], lambda text: {text: text}, ValueError])
def test_every_value_of_a_log_line_is_escaped(text, kind):
    event = printable_event(None, "info", {"event": text, "detail": kind(text), text: 1})

    assert obeyed(str(event["event"]) + "".join(event) + str(event["detail"])) == []
    assert len(json.dumps(event)) < 8 * MOST
    renderer = structlog.dev.ConsoleRenderer(colors=False)
    assert obeyed(renderer(None, "info", dict(event))) == []


def test_numbers_of_a_log_line_stay_numbers():
    event = {"event": "x", "steps": 5, "rate": 0.5, "done": True, "why": None, "by": {"a": [1]}}

    assert printable_event(None, "info", dict(event)) == event


@pytest.mark.parametrize("text", TEXTS)
def test_the_lines_of_any_library_are_escaped_with_their_tracebacks(text):
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    logger = logging.Logger("some.library")
    logger.addHandler(handler)
    make_printable(logger)
    make_printable(logger)

    try:
        raise ValueError(text)
    except ValueError:
        logger.exception("it failed: %s", text)

    said = written.getvalue()
    assert said.startswith("ERROR some.library it failed: ")
    assert obeyed(said) == []
    assert all(line.startswith((" ", "…")) for line in said.splitlines()[1:] if line)
