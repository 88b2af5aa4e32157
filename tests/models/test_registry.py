from __future__ import annotations

import subprocess
import sys

from tinyqueue.models.registry import MODELS


def test_every_model_config_has_defaults_for_all_its_fields() -> None:
    for entry in MODELS.values():
        assert entry.config() == entry.config()


def test_what_players_and_the_command_line_import_brings_no_tensorflow() -> None:
    # Given a fresh interpreter that imports the acting half and everything listed by name
    code = (
        "import sys\n"
        "import tinyqueue.policy.heads, tinyqueue.policy.runner, tinyqueue.policy.export\n"
        "import tinyqueue.models.registry, tinyqueue.models.inputs\n"
        "import tinyqueue.algorithms.registry, tinyqueue.algorithms.returns\n"
        "heavy = {'tensorflow', 'keras', 'tf2onnx', 'onnx', 'onnxruntime'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # Then none of these is loaded
    assert done.stdout.strip() == "[]"


def test_a_policy_runs_without_tensorflow() -> None:
    code = (
        "import sys\n"
        "from tinyqueue.policy.runner import PolicyRunner\n"
        "try:\n"
        "    PolicyRunner(b'', {}, 0)\n"
        "except Exception as error:\n"
        "    assert type(error).__name__ == 'ConfigError', error\n"
        "print('onnxruntime' in sys.modules, 'tensorflow' in sys.modules, 'onnx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "False"]
