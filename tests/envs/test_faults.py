"""An environment's exception names the environment, what was asked, and the user's line."""

from __future__ import annotations

import bdb
import importlib.util
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import billiard.common
import billiard.pool
import pytest

from tinyqueue.envs.faults import blaming, shown, user_place
from tinyqueue.errors import ConfigError, EnvironmentFailedError

USERS = "def step():\n    import json\n    return json.loads('no json')\n"
USERS += "def interrupts():\n    raise KeyboardInterrupt\n"


class SoftTimeLimitExceeded(Exception):
    """Named as Celery's is."""


@pytest.fixture
def users(tmp_path: Path) -> ModuleType:
    """A module of somebody else's, whose ``step`` fails inside the standard library."""
    path = tmp_path / "snake.py"
    path.write_text(USERS)
    spec = importlib.util.spec_from_file_location("snake", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_error_names_environment_task_kind_and_the_users_own_line(users: ModuleType) -> None:
    with pytest.raises(EnvironmentFailedError) as raised, blaming("Snake-v0", "step 3 in slot 1"):
        users.step()

    assert raised.value.kind == "JSONDecodeError"
    assert raised.value.place == "snake.py:3"
    assert "Snake-v0 failed in step 3 in slot 1: JSONDecodeError: " in str(raised.value)
    assert "json.loads('no json')" in raised.value.traceback


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SoftTimeLimitExceeded(), ConfigError("the user's settings")]
)
def test_what_is_not_the_environments_fault_passes_as_it_is(error: BaseException) -> None:
    with pytest.raises(type(error)), blaming("Snake-v0", "reset"):
        raise error


def test_an_interrupt_of_its_own_is_its_fault_where_ctrl_c_raises_none(users: ModuleType) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(EnvironmentFailedError) as raised, blaming("Snake-v0", "reset"):
            users.interrupts()
    finally:
        signal.signal(signal.SIGINT, before)
    assert "KeyboardInterrupt (at snake.py:" in str(raised.value)


def test_a_long_message_is_cut_and_kept_on_one_line() -> None:
    with pytest.raises(EnvironmentFailedError) as raised, blaming("Snake-v0", "reset"):
        raise ValueError("x\n" * 10_000)

    assert len(str(raised.value)) < 500
    assert "\n" not in str(raised.value)


def test_without_a_traceback_there_is_no_place() -> None:
    assert user_place(None) == ""


def test_an_environment_that_ends_its_process_failed(users: ModuleType) -> None:
    with pytest.raises(EnvironmentFailedError, match="SystemExit: 3"), blaming("Snake-v0", "reset"):
        sys.exit(3)


def test_a_handler_of_celerys_that_ends_the_process_passes(tmp_path: Path) -> None:
    path = tmp_path / "billiard" / "common.py"
    path.parent.mkdir()
    code = compile("raise SystemExit(-241)", str(path), "exec")
    with pytest.raises(SystemExit), blaming("Snake-v0", "reset"):
        exec(code)


def test_sys_exit_in_a_pool_child_is_the_environments_failure_unless_a_handler_called_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As billiard's pool has it, which puts a function of its own in the place of sys.exit."""
    space: dict[str, Any] = {"exits": sys.exit}
    replaced = "def exit(status=None):\n    return exits(status)"
    exec(compile(replaced, billiard.pool.__file__, "exec"), space)
    monkeypatch.setattr(sys, "exit", space["exit"])

    with (
        pytest.raises(EnvironmentFailedError, match=r"SystemExit: 3 \(at snake.py:1\)"),
        blaming("Snake-v0", "step 7"),
    ):
        exec(compile("import sys; sys.exit(3)", str(tmp_path / "snake.py"), "exec"))
    with pytest.raises(SystemExit), blaming("Snake-v0", "step 7"):
        exec(compile("import sys; sys.exit(-241)", billiard.common.__file__, "exec"))


def test_a_value_without_words_is_shown_by_its_type() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise ValueError

    assert shown(Odd()) == "a Odd"
    assert shown("x" * 500) == "'" + "x" * 79 + "…"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (EOFError("EOF when reading a line"), r"nobody can answer input\(\)"),
        (bdb.BdbQuit(), r"BdbQuit; nobody can answer breakpoint\(\)"),
        (AttributeError("none", name="action_space"), r"set self\.action_space in its constructor"),
    ],
)
def test_what_an_exception_does_not_say_itself_is_added(error: Exception, said: str) -> None:
    with pytest.raises(EnvironmentFailedError, match=said), blaming("Snake-v0", "building"):
        raise error
