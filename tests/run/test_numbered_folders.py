import os
import time

from tinyqueue.run.numbered_folders import appear, numbers


def test_a_folder_appears_with_its_files_and_locked(tmp_path):
    path, lock = appear(tmp_path / "runs", {"run.json": b"{}"})
    assert path == tmp_path / "runs" / "1"
    assert sorted(os.listdir(path)) == ["lock", "run.json"]
    assert os.listdir(tmp_path / "runs") == ["1"]
    lock.release()


def test_only_numbers_with_a_run_file_count(tmp_path):
    for name in ("1", "02", "7", "x", "9"):
        (tmp_path / name).mkdir()
    for name in ("1", "02", "7", "x"):
        (tmp_path / name / "run.json").write_text("{}")
    assert sorted(numbers(tmp_path)) == [1, 7]
    assert numbers(tmp_path / "absent") == []


def test_drafts_of_a_crash_are_removed_once_they_are_old(tmp_path):
    old, young = tmp_path / ".new-old", tmp_path / ".new-young"
    old.mkdir()
    young.mkdir()
    hour_ago = time.time() - 3600
    os.utime(old, (hour_ago, hour_ago))
    _, lock = appear(tmp_path, {"run.json": b"{}"})
    assert not old.exists()
    assert young.exists()
    lock.release()
