from pathlib import Path

import pytest

from tinyqueue.experiment.file_names import file_of, label


@pytest.mark.parametrize(
    ("name", "path", "inner"),
    [
        ("own.py:Mine", "own.py", "Mine"),
        ("../a b/own.py:Mine", "../a b/own.py", "Mine"),
        ("own.py", "own.py", ""),
        ("/x.py:y/own.py:Mine", "/x.py:y/own.py", "Mine"),
    ],
)
def test_a_file_and_what_is_in_it_are_told_apart(name, path, inner):
    assert file_of(name) == (Path(path), inner)


@pytest.mark.parametrize("name", ["impala", "q-1step", "module:Name", "own.pyc:Mine", "", ".py"])
def test_other_names_are_no_files(name):
    assert file_of(name) is None


def test_a_persons_home_is_known(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")

    assert file_of("~/own.py:Mine") == (Path("/home/ann/own.py"), "Mine")


def test_people_are_told_the_file_without_its_folders():
    assert label("/home/ann/own.py:Mine") == "own.py:Mine"
    assert label("impala") == "impala"
