"""What a person sees when their own file fails."""

from typing import Any

import pytest

from tinyqueue.errors import ConfigError
from tinyqueue.experiment.brought import brought
from tinyqueue.experiment.users_code import doing, users_failure

SOURCE = """
class Mine:
    def update(self, batch):
        return self.half(batch)

    def half(self, batch):
        return 1 / batch
"""


def failure(call):
    with pytest.raises((ArithmeticError, ConfigError)) as failed:
        call()
    return failed.value


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(SOURCE)
    kind: Any = brought("algorithm", f"{path}:Mine", ())[0]
    return kind()


def test_an_error_is_told_from_the_users_file_on(mine, tmp_path):
    def update():
        with doing("in update 12, at 3,072 env steps"):
            mine.update(0)

    text = users_failure(failure(update)) or ""

    first, *traceback = text.splitlines()
    assert first == (
        f"{tmp_path / 'own.py'}: Mine.update raised ZeroDivisionError, "
        "in update 12, at 3,072 env steps."
    )
    assert f'File "{tmp_path / "own.py"}", line 4, in update' in text
    assert f'File "{tmp_path / "own.py"}", line 7, in half' in text
    assert "ZeroDivisionError: division by zero" in traceback
    assert __file__ not in text


def test_an_error_from_elsewhere_is_none_of_the_users():
    assert users_failure(failure(lambda: 1 / 0)) is None


def test_tinyqueues_own_errors_get_no_note():
    def refuse():
        with doing("while it was built"):
            raise ConfigError("no such head")

    assert not hasattr(failure(refuse), "__notes__")
