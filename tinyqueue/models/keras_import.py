"""Imports TensorFlow and Keras as fast and as quietly as they allow.

Measured on two cores: 2.5 s plainly; 1.6 s with garbage collection off and without
matplotlib, which Keras imports only to draw. Where no byte code was installed and Python
may not write any, it takes 7 s at every start: see :func:`bytecode_advice`.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias

from tinyqueue.errors import ConfigError, MissingExtraError

KerasModel: TypeAlias = Any
"""A ``keras.Model``. Keras publishes no types, and is imported inside functions only."""
KerasLayer: TypeAlias = Any
"""A ``keras.layers.Layer``, or the class of one."""
Initializer: TypeAlias = Any
"""A ``keras.initializers.Initializer``, or a function that does the same."""

_NOTICES = (
    b"oneDNN custom operations are on",
    b"before absl::InitializeLog() is called",
)
"""What TensorFlow 2.21 says at every import, whatever its log level."""
_NO_ONEDNN = (b"oneDNN supports DT_",)
"""What it calls an error, once, where a type is transposed for which oneDNN needs AVX-512: its own
kernel does it then, as it should. The log level that hides it would hide errors."""


def import_keras() -> tuple[Any, Any]:
    """The modules ``tensorflow`` and ``keras``, imported at the first call.

    Call it before other threads start: for its duration ``import matplotlib`` fails, and
    what anyone writes to standard error appears only at its end.

    Raises:
        MissingExtraError: TensorFlow or Keras is not installed.
        ConfigError: Keras runs on another backend in this process.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        is_first = "tensorflow" not in sys.modules
        with (
            _quick_import(),
            _without_users_file() if "keras" not in sys.modules else nullcontext(),
            _without(_NOTICES) if is_first else nullcontext(),
        ):
            import keras
            import tensorflow as tf
    except ModuleNotFoundError as error:
        raise MissingExtraError("learner", "training") from error
    if keras.backend.backend() != "tensorflow":
        raise ConfigError(
            f"Keras runs on the {keras.backend.backend()} backend in this process, and tinyqueue "
            "trains with TensorFlow. Set KERAS_BACKEND=tensorflow before Keras is imported."
        )
    # Also where the program has imported Keras before, with what ~/.keras/keras.json says.
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    return tf, keras


def take_onednn_notice() -> None:
    """Has TensorFlow say now, unheard, that oneDNN does not transpose integers on this processor.

    It says so once in a process: here instead of at the first update. 10 ms. TensorFlow's threads
    can be set no more afterwards.
    """
    tf, _ = import_keras()
    with _without(_NO_ONEDNN):
        tf.transpose(tf.zeros([1, 1], tf.int32))


def bytecode_advice() -> str | None:
    """What to run once so that TensorFlow starts faster, or None when it already does.

    Some installers leave no byte code behind, and ``PYTHONDONTWRITEBYTECODE`` keeps
    Python from writing it: then each start compiles 2,600 files.
    """
    found = importlib.util.find_spec("tensorflow")
    if not sys.dont_write_bytecode or found is None or found.origin is None:
        return None
    if Path(importlib.util.cache_from_source(found.origin)).exists():
        return None
    packages = Path(found.origin).parent
    return (
        "TensorFlow is compiled anew at every start, which takes about 5 s, because no byte code "
        "is installed and PYTHONDONTWRITEBYTECODE is set. Once and for all: "
        f"{sys.executable} -m compileall -q {packages} {packages.with_name('keras')}"
    )


@contextmanager
def _quick_import() -> Iterator[None]:
    collects = gc.isenabled()
    hidden = "matplotlib" not in sys.modules
    gc.disable()
    if hidden:
        sys.modules["matplotlib"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden and sys.modules.get("matplotlib", hidden) is None:
            del sys.modules["matplotlib"]
        if collects:
            gc.enable()


@contextmanager
def _without_users_file() -> Iterator[None]:
    """Keras reads ``keras.json`` of its folder as it is imported: another network is trained with
    another order of channels. It is given an empty folder for so long."""
    before = os.environ.get("KERAS_HOME")
    with tempfile.TemporaryDirectory(prefix="tinyqueue-") as folder:
        os.environ["KERAS_HOME"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["KERAS_HOME"]
            else:
                os.environ["KERAS_HOME"] = before


@contextmanager
def _without(notices: tuple[bytes, ...]) -> Iterator[None]:
    """Holds standard error back and lets through every line that is not one of the notices."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            for line in file:
                if not any(notice in line for notice in notices):
                    os.write(2, line)
