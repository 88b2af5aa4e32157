import pytest

from tinyqueue.errors import RunDirectoryError
from tinyqueue.run.run_lock import RunLock


def test_a_second_holder_is_refused_until_the_first_lets_go(tmp_path):
    lock = RunLock(tmp_path)
    with pytest.raises(RunDirectoryError, match=r"in use by pid \d+ on .+Stop that learner"):
        RunLock(tmp_path)
    lock.release()
    lock.release()
    RunLock(tmp_path).release()


def test_a_folder_that_is_gone_is_named(tmp_path):
    with pytest.raises(RunDirectoryError, match=r"absent cannot be locked: No such file"):
        RunLock(tmp_path / "absent")
