"""Which command installs an extra."""

import json
from types import SimpleNamespace

import pytest

from tinyqueue import installing


@pytest.fixture
def installed_from(monkeypatch):
    def come(origin):
        text = None if origin is None else json.dumps(origin)
        found = SimpleNamespace(read_text=lambda name: text)
        monkeypatch.setattr(installing, "distribution", lambda name: found)

    return come


@pytest.fixture
def clone(tmp_path):
    folder = tmp_path / "a clone"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    return folder


def test_from_an_index_it_is_installed_from_there(installed_from):
    installed_from(None)

    assert installing.install_command("learner") == 'pip install "tinyqueue[learner]"'


def test_in_a_clone_it_is_installed_from_the_clone(installed_from, clone, monkeypatch):
    installed_from({"url": clone.as_uri(), "dir_info": {"editable": True}})

    assert installing.install_command("plot") == f"pip install -e '{clone}[plot]'"
    monkeypatch.chdir(clone)
    assert installing.install_command("plot") == "pip install -e '.[plot]'"


def test_a_copy_of_a_folder_is_not_made_editable(installed_from, clone):
    installed_from({"url": clone.as_uri(), "dir_info": {}})

    assert installing.install_command("plot") == f"pip install '{clone}[plot]'"


@pytest.mark.parametrize(
    "origin",
    [
        {"url": "file:///gone/tinyqueue", "dir_info": {"editable": True}},
        {"url": "https://example.org/tinyqueue-0.1.0-py3-none-any.whl", "archive_info": {}},
        {"url": "file:///tmp/tinyqueue-0.1.0-py3-none-any.whl", "archive_info": {}},
        [],
    ],
)
def test_a_source_that_cannot_be_used_again_is_not_named(installed_from, origin):
    installed_from(origin)

    assert installing.install_command("plot") == 'pip install "tinyqueue[plot]"'
