"""Installed packages that may have an unknown environment."""

import pytest

from tinyqueue.envs.installed_packages import modules_on_gymnasium
from tinyqueue.envs.names import find_environment
from tinyqueue.errors import UnknownNameError


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a package with these requirements on the path, and returns its module's name."""

    def write(module, *requires):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('imported')\n")
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {module.replace('_', '-')}", "Version: 1.0"]
        lines += [f"Requires-Dist: {one}" for one in requires]
        (info / "METADATA").write_text("\n".join(lines) + "\n")
        (info / "top_level.txt").write_text(f"{module}\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        return module

    return write


@pytest.mark.parametrize("requirement", ["gymnasium", "Gymnasium>=1.0", "gymnasium[box2d] (>=1)"])
def test_what_requires_gymnasium_is_found_and_not_imported(install, requirement):
    assert install("mazes_of_mine", "numpy", requirement) in modules_on_gymnasium()


def test_the_package_with_the_name_in_its_code_comes_first(install, tmp_path):
    for module in ("aa_other", "zz_forage"):
        install(module, "gymnasium")
        (tmp_path / f"{module}.py").rename(tmp_path / "moved.py")
        (tmp_path / module).mkdir()
        (tmp_path / "moved.py").rename(tmp_path / module / "__init__.py")
    (tmp_path / "zz_forage" / "__init__.py").write_text("register(f'Foraging-{size}x{size}-v3')\n")

    assert modules_on_gymnasium("Foraging-8x8-2p-v3")[0] == "zz_forage"


def test_what_does_not_require_it_is_not(install):
    assert install("mazes_of_mine", "numpy", "gymnasium-robotics") not in modules_on_gymnasium()


def test_an_unknown_environment_is_looked_for_in_installed_packages(install):
    module = install("aa_mazes_of_mine", "gymnasium")

    with pytest.raises(UnknownNameError) as raised:
        find_environment("Mazey-8x8-v3")

    asked = f"TINYQUEUE_ENVIRONMENT_MODULES={module} tinyqueue train Mazey-8x8-v3"
    assert asked in str(raised.value)
