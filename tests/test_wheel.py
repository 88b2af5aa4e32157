"""The wheel on its own: built, installed where no source tree is near, and used from there."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

# On one process of pytest: the wheel is built and installed once.
pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("wheel")]

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built by the build back-end that is installed here."""
    dist = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir"]
    done = subprocess.run([*command, dist, ROOT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(dist.glob("*.whl"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment's ``bin`` with the wheel and its dependencies.

    The dependencies are those of this environment, through a ``.pth`` file: installing
    TensorFlow anew takes minutes and proves nothing about the wheel. A path in a ``.pth``
    file comes last and its own ``.pth`` files are not read, so that the ``tinyqueue`` that
    is found is the wheel's and never an editable install of this tree.
    """
    environment = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    scheme = {"base": str(environment), "platbase": str(environment)}
    packages = Path(sysconfig.get_path("purelib", "venv", scheme))
    unpack = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python")]
    subprocess.run(
        [*unpack, "install", "--quiet", "--no-deps", "--no-index", wheel],
        check=True,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return environment / "bin"


def run(command: list[str | Path], cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "TINYQUEUE_"))}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def test_the_wheel_holds_the_library_and_the_presets_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

    presets = {f"tinyqueue/presets/{p.name}" for p in (ROOT / "config/experiments").glob("*.toml")}
    assert "tinyqueue/presets/cartpole-impala.toml" in presets
    assert presets <= names
    assert {"tinyqueue/py.typed", "tinyqueue/experiment/experiment.py"} <= names
    assert {name.split("/")[0] for name in names} == {"tinyqueue", "tinyqueue-0.1.0.dist-info"}


def test_the_installed_library_is_the_wheel_s(installed: Path, tmp_path: Path) -> None:
    program = (
        "import importlib.resources as r, json, tinyqueue\n"
        "presets = [p.name for p in (r.files('tinyqueue') / 'presets').iterdir()]\n"
        "print(json.dumps([tinyqueue.__file__, presets]))"
    )

    done = run([installed / "python", "-c", program], tmp_path)

    assert done.returncode == 0, done.stderr
    file, presets = json.loads(done.stdout)
    assert Path(file).is_relative_to(installed.parent)
    assert "cartpole-impala.toml" in presets


def test_the_command_says_what_it_can_do(installed: Path, tmp_path: Path) -> None:
    done = run([installed / "tinyqueue", "--help"], tmp_path)

    assert done.returncode == 0, done.stderr
    for verb in ("train", "learner", "evaluate", "info"):
        assert verb in done.stdout


def test_the_installed_library_trains_and_plays_what_it_learned(
    installed: Path, tmp_path: Path
) -> None:
    """The preset comes from the wheel; one process, since players have tests of their own."""
    train = ["train", "CartPole-v1", "--serial", "--max-env-steps", "2000", "--json"]

    done = run([installed / "tinyqueue", *train], tmp_path)

    assert done.returncode == 0, done.stderr
    assert "from preset cartpole-impala" in done.stderr
    result = json.loads(done.stdout)
    assert (result["ended"], result["run_directory"]) == (
        "max env steps",
        "runs/cartpole-impala/1",
    )
    evaluate = ["evaluate", result["run_directory"], "-n", "3", "--json"]
    done = run([installed / "tinyqueue", *evaluate], tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["count"] == 3
