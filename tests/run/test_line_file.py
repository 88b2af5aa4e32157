import os

import pytest

from tinyqueue.errors import RunDirectoryError
from tinyqueue.run.line_file import LineFile


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


def test_lines_wait_while_the_disk_is_full_and_no_part_of_one_is_left(tmp_path, monkeypatch):
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
        file.append([{"step": 2}])
        file.append([{"note": "x" * (1 << 22)}])
    assert path.read_text() == '{"step": 1}\n'
    file.append([{"step": 3}])
    file.close()
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n{"step": 3}\n'


def test_a_disk_that_fails_otherwise_is_an_error(tmp_path, monkeypatch):
    file = LineFile(tmp_path / "metrics.jsonl")

    def fail(descriptor, data, at):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises(RunDirectoryError, match=r"Input/output error.*resume"):
        file.append([{"step": 1}])
