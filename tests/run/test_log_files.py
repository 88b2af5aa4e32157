"""A log that others append to stays within its bound, and they go on appending."""

import os

from tinyqueue.run.log_files import rotate, rotate_all


def test_a_log_of_others_is_moved_aside_and_written_on(tmp_path):
    log = tmp_path / "players.log"
    with log.open("ab", buffering=0) as writer:
        for number in range(1_000):
            writer.write(b"%03d: a line of a player\n" % number)
            rotate_all(tmp_path)
            rotate(log, most_bytes=1_000)
            kept = sum(file.stat().st_size for file in tmp_path.iterdir())
            assert kept < 2 * 1_100

    lines = (tmp_path / "players.log.1").read_text() + log.read_text()
    assert lines.splitlines()[-1] == "999: a line of a player"
    numbers = [int(line[:3]) for line in lines.splitlines()]
    assert numbers == list(range(numbers[0], 1_000))


def test_a_log_that_cannot_be_copied_is_emptied_all_the_same(tmp_path, monkeypatch):
    log = tmp_path / "players.log"
    log.write_text("x" * 2_000)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)

    assert not rotate(log, most_bytes=1_000)
    assert os.path.getsize(log) == 0
    assert not rotate(tmp_path / "none.log")
