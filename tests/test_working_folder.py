"""Files in the working folder that are called as what tinyqueue is made of."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tinyqueue.working_folder import python_of

NAMES = ("celery", "redis", "types", "kombu", "random", "numpy", "structlog", "gymnasium")
SOURCES = str(Path(__file__).parents[1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a namesake of everything, and a module of the user's own."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} is hidden')")
    (tmp_path / "mine.py").write_text("print('mine')")
    return tmp_path


def run(
    *command: str, cwd: Path, path: str = SOURCES, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, **variables},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def program(name: str) -> str:
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert found is not None
    return found


@pytest.mark.integration
def test_a_child_finds_what_is_installed_first_and_what_is_the_users_too(folder: Path) -> None:
    (folder / "asks.py").write_text("import mine, random, redis, types; print(redis.__file__)")

    done = run(*python_of("asks"), cwd=folder)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "mine"
    assert "site-packages" in done.stdout


@pytest.mark.integration
def test_celery_loads_the_app_and_its_tasks_beside_namesakes(folder: Path) -> None:
    # A misspelt queue ends it right after that.
    done = run(program("celery"), "-A", "tinyqueue", "worker", "-Q", "paly", cwd=folder)

    assert "is hidden" not in done.stdout + done.stderr
    assert "paly" in done.stdout + done.stderr


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("redis", ("tinyqueue", "info")),
        ("kombu", ("tinyqueue", "info")),
        ("celery", ("tinyqueue", "train", "CartPole-v1")),
        ("random", ("tinyqueue", "info")),
        # Celery has imported kombu before anything of tinyqueue runs.
        ("redis", ("celery", "-A", "tinyqueue", "status")),
    ],
)
def test_a_namesake_that_pythonpath_puts_first_is_named(
    tmp_path: Path, name: str, command: tuple[str, ...]
) -> None:
    (tmp_path / f"{name}.py").write_text("x = 1")

    done = run(program(command[0]), *command[1:], cwd=tmp_path, path=f".:{SOURCES}")

    assert done.returncode != 0
    assert f"{tmp_path / name}.py hides the module {name}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.integration
def test_a_folder_of_pythonpath_without_namesakes_is_as_it_was(tmp_path: Path) -> None:
    for name in ("test", "code", "mine", "snake"):
        (tmp_path / f"{name}.py").write_text("x = 1")

    done = run(program("tinyqueue"), "--help", cwd=tmp_path, path=f".:{SOURCES}")

    assert done.returncode == 0, done.stderr


@pytest.mark.integration
def test_a_whole_run_ends_well_among_namesakes_and_with_a_tmpdir_too_long_for_a_socket(
    folder: Path,
) -> None:
    long = folder / ("x" * 120) / ("y" * 80)
    long.mkdir(parents=True)

    done = run(
        *(program("tinyqueue"), "train", "CartPole-v1", "--max-env-steps", "2000"),
        cwd=folder,
        TMPDIR=str(long),
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "the limit of env steps is reached" in done.stdout
    assert "is hidden" not in done.stdout + done.stderr
    assert "is hidden" not in (folder / "runs/cartpole-impala/1/players.log").read_text()


@pytest.mark.integration
def test_the_program_finds_a_users_module_in_the_working_folder(folder: Path) -> None:
    (folder / "own_env.py").write_text("raise ImportError('found')")

    done = run(program("tinyqueue"), "train", "own_env:Own-v0", cwd=folder, path="")

    assert "module 'own_env' cannot be imported (found)" in done.stderr
