"""Given files that people write, and what they set beside them on the command line."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from tinyqueue.errors import ConfigError
from tinyqueue.experiment.documents import read_document, with_overrides


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('seed = 3\n[environment]\nid = "CartPole-v1"\n')

    assert read_document(path) == {"seed": 3, "environment": {"id": "CartPole-v1"}}


def test_a_file_that_is_not_there_or_not_toml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    with pytest.raises(ConfigError, match=r"mine\.toml cannot be read: No such file"):
        read_document(path)

    path.write_text("seed = = 3\n")
    with pytest.raises(ConfigError, match=r"mine.toml is not valid TOML: .*line 1, column 8"):
        read_document(path)

    path.write_bytes(b'name = "\xff"')
    with pytest.raises(ConfigError, match=r"mine\.toml is not valid TOML"):
        read_document(path)


def test_overrides_are_toml_or_else_text() -> None:
    changed = with_overrides(
        {"session": {"ticks": 8}},
        [
            "session.slots=16",
            "algorithm.learning_rate = 1e-3",
            "model.hidden=[8, 8]",
            "environment.id=CartPole-v1",
            "environment.kwargs.sutton=true",
            "name=mine",
            "seed=1",
            "seed=2",
        ],
    )

    assert changed == {
        "session": {"ticks": 8, "slots": 16},
        "algorithm": {"learning_rate": 0.001},
        "model": {"hidden": [8, 8]},
        "environment": {"id": "CartPole-v1", "kwargs": {"sutton": True}},
        "name": "mine",
        "seed": 2,
    }


def test_overrides_leave_the_document_as_it_was() -> None:
    document = {"environment": {"id": "CartPole-v1", "kwargs": {"a": 1}}}
    before = copy.deepcopy(document)

    with_overrides(document, ["environment.kwargs.a=2", "environment.kwargs.b=3"])

    assert document == before


@pytest.mark.parametrize("assignment", ["session.ticks", "=3", ".ticks=3", "session.=3", ""])
def test_an_override_of_another_form_is_refused(assignment: str) -> None:
    with pytest.raises(ConfigError, match=r"must have the form section\.key=value"):
        with_overrides({}, [assignment])


def test_a_value_has_no_keys() -> None:
    with pytest.raises(ConfigError, match="'seed' is a value, not a section"):
        with_overrides({"seed": 3}, ["seed.x=1"])


def test_a_mark_of_the_encoding_at_the_beginning_is_passed_over(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbfname = 'pole'\r\n")

    assert read_document(path) == {"name": "pole"}
