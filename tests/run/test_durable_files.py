import os

import pytest

from tinyqueue.run.durable_files import remove_folder, replace_file


def test_a_replaced_file_holds_the_new_content_and_leaves_nothing_aside(tmp_path):
    path = tmp_path / "run.json"
    replace_file(path, b"old")
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["run.json"]


def test_when_the_disk_refuses_the_old_file_stays_and_nothing_is_left(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    replace_file(path, b"old")

    def refuse(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["run.json"]


def test_a_folder_is_removed_and_one_that_is_gone_is_no_error(tmp_path):
    folder = tmp_path / "7"
    folder.mkdir()
    (folder / "file").write_text("x")
    remove_folder(folder, ".old-")
    remove_folder(folder, ".old-")
    assert os.listdir(tmp_path) == []
