"""Given errors that an operator reads."""

from __future__ import annotations

import re

import pytest

from tinyqueue import errors
from tinyqueue.errors import (
    ConfigError,
    MessageError,
    MissingExtraError,
    TinyqueueError,
    UnknownNameError,
)
from tinyqueue.installing import install_command


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    drawn = re.findall(r"(\w+Error)\b", (errors.__doc__ or "").split("Every message")[0])
    made = [name for name in vars(errors) if name.endswith("Error")]

    assert sorted(drawn) == sorted(made)
    assert all(issubclass(getattr(errors, name), TinyqueueError) for name in made)


def test_a_near_name_is_suggested() -> None:
    error = UnknownNameError("algorithm", "impalla", ["a3c", "impala"])

    assert str(error) == "unknown algorithm 'impalla'; did you mean 'impala'?"
    assert isinstance(error, ConfigError)


def test_without_a_near_name_the_known_ones_are_listed() -> None:
    error = UnknownNameError("algorithm", "zzz", ["impala", "a3c"])

    assert str(error) == "unknown algorithm 'zzz'; known: a3c, impala."


def test_a_long_list_is_counted_instead() -> None:
    error = UnknownNameError("environment", "zzz", [f"Game-v{n}" for n in range(1000)])

    assert str(error) == "unknown environment 'zzz'; 1000 names are known and none is near."


def test_a_missing_extra_comes_with_the_command_that_brings_it() -> None:
    error = MissingExtraError("learner", "training")

    assert install_command("learner") in str(error)
    assert str(error).startswith("training needs")


def test_a_message_error_keeps_its_reason() -> None:
    with pytest.raises(TinyqueueError, match=r"^schema: written by schema 2$") as raised:
        raise MessageError("schema", "written by schema 2")
    assert isinstance(raised.value, MessageError)
    assert (raised.value.reason, raised.value.detail) == ("schema", "written by schema 2")
