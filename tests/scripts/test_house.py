"""The measuring script on a small tree whose numbers can be counted by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2] / "scripts" / "house.py"
FILES = {
    "__init__.py": '"""A package."""\n',
    "ring.py": "import tinyqueue.chain\n",
    "chain.py": "def late():\n    import tinyqueue.ring\n\n    return tinyqueue.ring\n",
    "algorithms/__init__.py": '"""Algorithms."""\n',
    "algorithms/registry.py": (
        "from tinyqueue.algorithms.walk import Walk, WalkConfig\n"
        "ALGORITHMS: dict[str, tuple[type, type]] = {'walk': (WalkConfig, Walk)}\n"
    ),
    "algorithms/walk.py": (
        "from typing import Any\n"
        "from tinyqueue.algorithms import paces, returns\n"
        "class WalkConfig:\n"
        '    """Of a walk."""\n'
        "class Walk:\n"
        "    def step(self, by: Any, how: dict[str, Any]) -> int:\n"
        '        """One."""\n'
        "        return paces.length(by)\n"
    ),
    "algorithms/paces.py": "def length(by: int, *, _unit: int = 1) -> int:\n    return by\n",
    "algorithms/returns.py": "from tinyqueue.algorithms import paces, q_targets\n",
    "algorithms/q_targets.py": "pass\n",
    "algorithms/value.py": "pass\n",
}


def house(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(HOUSE), str(root), *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "tinyqueue" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.integration
def test_a_tree_is_measured(tree: Path) -> None:
    done = house(tree, "--json")

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["files"], found["median_lines"]) == (10, 1.0)
    assert found["longest"][0] == {"module": "tinyqueue.algorithms.walk", "lines": 8}
    # late, step and length.
    assert (found["functions"], found["function_p50"], found["function_max"]) == (3, 3, 4)
    # Slots: late 1, step 3, length 3.
    assert (found["any_percent"], found["any_within_percent"]) == (14.3, 28.6)
    assert found["documented_functions_percent"] == 33.3
    assert found["documented_classes_percent"] == 50.0
    assert found["annotated_percent"] == 66.7
    assert found["cycles"] == [["tinyqueue.chain", "tinyqueue.ring"]]
    assert found["algorithms"] == {
        "walk": {
            "to_read": {
                "files": 3,
                "lines": 10,
                "modules": {"q_targets": 1, "returns": 1, "walk": 8},
            },
            "needed": {
                "files": 4,
                "lines": 12,
                "modules": {"paces": 2, "q_targets": 1, "returns": 1, "walk": 8},
            },
        },
    }
    assert found["packages"]["tinyqueue.algorithms"]["files"] == 7
    assert found["packages"]["tinyqueue"]["files"] == 3


@pytest.mark.integration
def test_people_get_the_same_numbers_as_a_table(tree: Path) -> None:
    done = house(tree)

    assert done.returncode == 0, done.stderr
    assert "files        10; median 1 lines" in done.stdout
    assert "             tinyqueue.chain, tinyqueue.ring" in done.stdout
    assert "algorithm        files  lines  to read: its file, the base class and" in done.stdout
    assert "walk                 3     10  q_targets 1, returns 1, walk 8" in done.stdout
    assert "algorithm        files  lines  needed: all of algorithms/ that its file" in done.stdout
    assert "walk                 4     12  paces 2, q_targets 1, returns 1, walk 8" in done.stdout


@pytest.mark.integration
def test_a_folder_without_the_package_is_refused(tmp_path: Path) -> None:
    done = house(tmp_path)

    assert done.returncode == 1
    assert done.stderr == f"error: there is no folder tinyqueue/ with Python files in {tmp_path}\n"
