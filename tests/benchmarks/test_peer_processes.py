"""Other libraries run in processes of their own, and whatever they do ends in a reason."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.integration


@pytest.fixture
def processes() -> ModuleType:
    import peer_processes

    return peer_processes


def script(folder: Path, text: str) -> tuple[str, ...]:
    path = folder / "script.py"
    path.write_text(text)
    return (str(path),)


def test_the_last_json_object_is_the_result(processes: ModuleType, tmp_path: Path) -> None:
    command = script(
        tmp_path,
        "import sys, json\n"
        "print('{\"env_steps_per_s\": 1}')\n"
        "print('some log')\n"
        "print(json.dumps({'env_steps_per_s': 2.5, 'given': sys.argv[1:]}, indent=1))\n",
    )

    result = processes.measure(Path(sys.executable), command, 3.0)

    assert result == {"env_steps_per_s": 2.5, "given": ["--seconds", "3"]}


def test_a_script_that_ends_badly_has_failed_with_its_error(
    processes: ModuleType, tmp_path: Path
) -> None:
    command = script(tmp_path, "import no_such_library")

    with pytest.raises(processes.PeerError, match=r"exit status 1: ModuleNotFoundError: .*no_such"):
        processes.measure(Path(sys.executable), command, 1.0)


@pytest.mark.parametrize("printed", ["nothing here", "{}", "[1]", '{"env_steps_per_s": null}'])
def test_a_script_without_a_figure_has_failed(
    processes: ModuleType, tmp_path: Path, printed: str
) -> None:
    command = script(tmp_path, f"print({printed!r})")

    with pytest.raises(processes.PeerError, match="env_steps_per_s"):
        processes.measure(Path(sys.executable), command, 1.0)


def test_a_script_that_does_not_end_is_killed_with_its_children(
    processes: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "START_TIMEOUT_S", 1.0)
    child = tmp_path / "child"
    command = script(
        tmp_path,
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(child)!r}).write_text(str(child.pid))\n"
        "time.sleep(60)\n",
    )

    with pytest.raises(processes.PeerError, match="no end within 2 s"):
        processes.measure(Path(sys.executable), command, 1.0)

    assert has_ended(int(child.read_text()))


def has_ended(pid: int) -> bool:
    for _ in range(50):
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def test_an_environment_that_cannot_be_made_says_why_and_is_tried_again(
    processes: ModuleType, tmp_path: Path
) -> None:
    nowhere = (str(tmp_path / "no-such-wheel-1.0-py3-none-any.whl"),)

    for _ in range(2):
        with pytest.raises(
            processes.PeerError, match=r"cannot be installed: ERROR: .*no-such-wheel"
        ):
            processes.install(tmp_path / "cache" / "library", nowhere)

    assert not (tmp_path / "cache" / "library" / "requirements.txt").exists()


def test_an_environment_that_is_there_is_left_as_it_is(
    processes: ModuleType, tmp_path: Path
) -> None:
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "requirements.txt").write_text("a==1\nb<2\n")

    processes.install(folder, ("a==1", "b<2"))

    assert [path.name for path in folder.iterdir()] == ["requirements.txt"]
