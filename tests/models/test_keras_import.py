from __future__ import annotations

import gc
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinyqueue.errors import ConfigError
from tinyqueue.models.keras_import import bytecode_advice, import_keras


def test_it_gives_both_modules_and_leaves_the_interpreter_as_it_was() -> None:
    had = "matplotlib" in sys.modules
    tf, keras = import_keras()
    assert (tf.__name__.partition(".")[0], keras.backend.backend()) == ("tensorflow", "tensorflow")
    assert gc.isenabled()
    assert ("matplotlib" in sys.modules) == had


def test_collection_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        import_keras()
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.integration
def test_the_first_import_says_nothing_and_lets_matplotlib_be_imported_later() -> None:
    code = (
        "import os, sys\n"
        "from tinyqueue.models.keras_import import import_keras\n"
        "import_keras()\n"
        "assert 'matplotlib' not in sys.modules\n"
        "os.write(2, b'still heard')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "still heard"


@pytest.mark.integration
def test_that_onednn_lacks_a_type_is_not_said_and_all_else_is() -> None:
    code = (
        "import os\n"
        "from tinyqueue.models.keras_import import import_keras, take_onednn_notice\n"
        "tf, _ = import_keras()\n"
        "transpose = tf.transpose\n"
        "def said(tensor):\n"
        "    os.write(2, b'E0000 util.cc] an error\\n')\n"
        "    os.write(2, b'E0000 util.cc] oneDNN supports DT_INT32 only on some\\n')\n"
        "    return transpose(tensor)\n"
        "tf.transpose = said\n"
        "take_onednn_notice()\n"
        "transpose(tf.zeros([2, 3], tf.int32))\n"
        "tf.function(lambda x: transpose(x))(tf.zeros([2, 3], tf.uint8))\n"
        "os.write(2, b'still heard')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "E0000 util.cc] an error\nstill heard"


def test_another_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _, keras = import_keras()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ConfigError, match="KERAS_BACKEND=tensorflow"):
        import_keras()


def test_missing_byte_code_is_spoken_of_only_when_python_may_not_write_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Given an interpreter that looks for byte code where there is none
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    advice = bytecode_advice()
    assert advice is not None
    assert "-m compileall" in advice
    # When it may write, it compiles only once
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    assert bytecode_advice() is None
    # When it may not, and the byte code is there, nothing is wrong
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    found = importlib.util.find_spec("tensorflow")
    assert found is not None
    assert found.origin is not None
    cached = Path(importlib.util.cache_from_source(found.origin))
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert bytecode_advice() is None


@pytest.mark.integration
@pytest.mark.parametrize("backend", ["torch", ""])
def test_what_a_person_has_set_for_other_programs_does_not_change_what_is_trained(
    tmp_path: Path, backend: str
) -> None:
    folder = tmp_path / ".keras"
    folder.mkdir()
    (folder / "keras.json").write_text(
        '{"image_data_format": "channels_first", "floatx": "float16", "epsilon": 0.1, '
        '"backend": "jax"}'
    )
    code = (
        "import os\n"
        "from tinyqueue.models.keras_import import import_keras\n"
        "_, keras = import_keras()\n"
        "print(keras.backend.backend(), keras.config.image_data_format(), keras.config.floatx(),\n"
        "      keras.config.epsilon(), keras.config.dtype_policy().name)\n"
        "assert 'KERAS_HOME' not in os.environ"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "KERAS_BACKEND": backend}
    if not backend:
        del environment["KERAS_BACKEND"]

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )

    assert done.stdout.split() == [
        "tensorflow", "channels_last", "float32", "1e-07", "float32",
    ]  # fmt: skip
