import os

import pytest

from tinyqueue.errors import RunDirectoryError
from tinyqueue.learner.streams import LineFile


def test_rows_follow_those_of_an_earlier_run(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for step in (1, 2):
        file = LineFile(path)
        file.append([{"step": step}, {"step": step}])
        file.close()
    assert path.read_text() == '{"step": 1}\n' * 2 + '{"step": 2}\n' * 2


@pytest.mark.parametrize("torn", ['{"st', '{"st' + "x" * 200_000])
def test_a_torn_last_line_is_cut_off(tmp_path, torn):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n' + torn)
    file = LineFile(path)
    file.append([{"step": 2}])
    file.close()
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'


def test_a_file_of_one_torn_line_is_emptied(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"st')
    LineFile(path).close()
    assert path.read_text() == ""


def test_a_full_disk_leaves_no_part_of_a_line(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    file = LineFile(path)
    file.append([{"step": 1}])
    real = os.pwrite

    def half_then_full(descriptor, data, at):
        if at > len('{"step": 1}\n'):
            raise OSError(28, "No space left on device")
        return real(descriptor, data[:3], at)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", half_then_full)
        with pytest.raises(RunDirectoryError, match="No space left"):
            file.append([{"step": 2}])
    assert path.read_text() == '{"step": 1}\n'
    file.append([{"step": 3}])
    file.close()
    assert path.read_text() == '{"step": 1}\n{"step": 3}\n'
