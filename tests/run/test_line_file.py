import json
import os

import numpy as np
import pytest

from tinyqueue.errors import RunDirectoryError
from tinyqueue.monitor.curves import read_curve
from tinyqueue.run.line_file import MOST_BYTES, LineFile


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


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("starts", [1, 7])
def test_a_day_stays_within_the_bound_and_is_covered_evenly(tmp_path, starts):
    path, bound, written = tmp_path / "metrics.jsonl", 20_000, 40_000
    for start in range(starts):
        file = LineFile(path, bound)
        for step in range(start * written // starts, (start + 1) * written // starts):
            file.append([{"step": step, "text": "x" * 40}])
            assert path.stat().st_size <= bound + 100
        file.close()

    steps = [row["step"] for row in rows(path)]
    assert steps == sorted(set(steps))
    assert steps[0] < written / 100
    assert steps[-1] == written - 1
    assert len(steps) > bound / 60 / 2 / 2
    per_tenth = np.histogram(steps, 10, (0, written))[0]
    assert per_tenth.min() > per_tenth.max() / 4
    assert rows(path)[-1]["one_of"] >= 64


def test_a_curve_of_a_thinned_file_is_that_of_the_whole_run(tmp_path):
    path = tmp_path / "pole" / "1" / "episodes.jsonl"
    path.parent.mkdir(parents=True)
    file = LineFile(path, 200_000)
    for step in range(0, 1_000_000, 50):
        line = {"env_steps": step, "returns": [step / 1_000_000] * 10, "lengths": [50] * 10}
        file.append([line])
    file.close()

    curve = read_curve(path.parent.resolve())
    assert path.stat().st_size < 210_000
    assert len(curve.env_steps) > 50
    assert np.allclose(curve.mean, curve.env_steps / 1_000_000)
    assert curve.env_steps[0] < 20_000
    assert curve.env_steps[-1] > 980_000


def test_what_is_thinned_on_a_full_disk_is_thinned_later(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    file = LineFile(path, 100)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("tinyqueue.run.line_file.replace_file", full)
        for step in range(20):
            file.append([{"step": step}])
    assert [row["step"] for row in rows(path)] == list(range(20))

    file._thin_from_s = 0.0
    file.append([{"step": 20}])
    file.close()
    assert [row["step"] for row in rows(path)] == list(range(0, 21, 2))


def test_the_bound_is_a_part_of_any_disk():
    assert MOST_BYTES < 100_000_000


def test_a_thinned_file_that_cannot_be_opened_is_an_error_of_the_run_directory(
    tmp_path, monkeypatch
):
    path = tmp_path / "metrics.jsonl"
    file = LineFile(path, most_bytes=200)
    monkeypatch.setattr(LineFile, "_open", lambda _: os.open(tmp_path / "absent" / "x", os.O_RDWR))

    with pytest.raises(RunDirectoryError, match="cannot be written"):
        file.append([{"n": number} for number in range(100)])

    file.close()
