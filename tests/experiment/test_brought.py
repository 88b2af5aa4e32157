"""Files and entry points that a user names."""

import sys

import pytest

from tinyqueue.errors import ConfigError, UnknownNameError
from tinyqueue.experiment.brought import brought


@pytest.fixture
def write(tmp_path):
    def written(text, name="own.py"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return written


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with entry points in the group of algorithms."""

    def installed(source, points):
        about = tmp_path / "own_package-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own-package\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[tinyqueue.algorithms]\n{points}\n")
        (tmp_path / "own_package.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)

    yield installed
    sys.modules.pop("own_package", None)


def load(name):
    return brought("algorithm", name, ("impala", "ppo"))


def test_a_class_of_a_file_is_loaded(write):
    path = write("from dataclasses import dataclass\n@dataclass\nclass Mine:\n    x: int = 3\n")

    found, where = load(f"{path}:Mine")

    assert found().x == 3
    assert where == f"{path}:Mine"


def test_a_file_and_its_copy_are_executed_once(write, tmp_path):
    log = tmp_path / "log"
    text = f"with open({str(log)!r}, 'a') as log: log.write('x')\nclass Mine: pass\n"
    path = write(text)
    (tmp_path / "copies").mkdir()
    copy = write(text, "copies/own.py")

    assert load(f"{path}:Mine")[0] is load(f"{copy}:Mine")[0]
    assert log.read_text() == "x"


def test_a_file_that_has_changed_is_executed_again(write):
    before, _ = load(f"{write('class Mine: x = 1')}:Mine")
    after, _ = load(f"{write('class Mine: x = 2')}:Mine")

    assert (before.x, after.x) == (1, 2)


def test_a_missing_file_is_named_with_the_nearest(write, tmp_path):
    write("", "actor.py")

    with pytest.raises(ConfigError) as refused:
        load(f"{tmp_path / 'acter.py'}:Mine")

    assert str(refused.value) == (
        f"the file of algorithm.name, {tmp_path / 'acter.py'}, cannot be read: No such file or "
        f"directory. Did you mean '{tmp_path / 'actor.py'}'?"
    )


def test_a_missing_name_is_told_with_the_nearest_that_the_file_defines(write):
    path = write("from pathlib import Path\nclass Mine: pass\n")

    with pytest.raises(UnknownNameError, match="'Mnie'; did you mean 'Mine'"):
        load(f"{path}:Mnie")
    with pytest.raises(UnknownNameError, match="known: Mine"):  # And not what it imports.
        load(f"{path}:Pth")


def test_a_file_that_defines_nothing_is_told_so(write):
    with pytest.raises(ConfigError, match="has no 'Mine': it defines no class and no function"):
        load(f"{write('x = 1')}:Mine")


def test_a_file_alone_is_refused(write):
    path = write("class Mine: pass")

    with pytest.raises(ConfigError, match=r"not which algorithm in it. Write .*own.py:NAME"):
        load(str(path))


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("def broken():\n    return 1 / 0\nbroken()\n", "ZeroDivisionError: division by zero"),
        ("def f(:\n", "SyntaxError: invalid syntax"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
        ("raise BaseException('odd')\n", "BaseException: odd"),
        ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_a_file_that_does_not_import_is_told_with_its_own_traceback(write, text, last):
    path = write(text)

    with pytest.raises(ConfigError) as refused:
        load(f"{path}:Mine")

    said = str(refused.value)
    assert said.startswith(f"{path}, the file of algorithm.name, does not import.")
    assert f'File "{path}", line 1' in said or f'File "{path}", line 3' in said
    assert said.endswith(last)
    assert "brought.py" not in said  # Only the user's own frames.


def test_a_module_beside_the_file_is_not_found_and_the_reason_is_told(write):
    write("x = 1", "losses_of_mine.py")
    path = write("import losses_of_mine\n")

    with pytest.raises(ConfigError, match="cannot import losses_of_mine from beside it"):
        load(f"{path}:Mine")


def test_a_failed_file_may_be_mended_and_loaded(write):
    with pytest.raises(ConfigError):
        load(f"{write('class Mine: pass' + chr(10) + 'oops')}:Mine")

    assert load(f"{write('class Mine: pass')}:Mine")[0].__name__ == "Mine"


def test_an_entry_point_is_loaded_by_its_name(package):
    package("class Mine: pass", "own = own_package:Mine")

    found, where = load("own")

    assert found.__name__ == "Mine"
    assert where == "algorithm 'own' (own_package:Mine of own-package)"


def test_an_entry_point_is_among_the_nearest_names(package):
    package("class Mine: pass", "own-actor = own_package:Mine")

    with pytest.raises(UnknownNameError, match="did you mean 'own-actor'"):
        load("own-acter")
    with pytest.raises(UnknownNameError, match="did you mean 'impala'"):
        load("imapla")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("1 / 0", "does not import.*ZeroDivisionError"),
        ("len.nothing", "does not import.*AttributeError"),
        ("raise BaseException('odd')", "does not import.*BaseException: odd"),
        ("x = 1", "own_package has no 'Mine'"),
    ],
)
def test_an_entry_point_that_does_not_load_is_told_with_its_package(package, source, said):
    package(source, "own = own_package:Mine")

    with pytest.raises(ConfigError, match=rf"(?s)of own-package\).*{said}") as refused:
        load("own")

    assert "importlib" not in str(refused.value)  # Only frames of the package.
    assert "brought.py" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("own:Mine", r"a file of yours is named with the file's ending, as in own\.py:Mine"),
        ("house-vpg", "If a package of yours brings it, install that package here too"),
    ],
)
def test_an_unknown_name_is_told_with_what_it_may_have_meant(name, said):
    with pytest.raises(ConfigError, match=said):
        load(name)


def test_a_folder_is_not_suggested_for_itself(tmp_path):
    (tmp_path / "own.py").mkdir()

    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory\.$"):
        load(f"{tmp_path / 'own.py'}:Mine")
