"""Imports TensorFlow and Keras as fast and as quietly as possible.

Measured on two cores: a plain import takes 2.5 s; with garbage collection off and without
matplotlib, which Keras imports only to plot, 1.6 s. Where no byte code was installed and Python
may not write any, every start takes 7 s: see :func:`bytecode_advice`.
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
"""A ``keras.initializers.Initializer``, or a function of the same signature."""

_NOTICES = (
    b"oneDNN custom operations are on",
    b"before absl::InitializeLog() is called",
)
"""What TensorFlow 2.21 prints at every import, whatever its log level."""
_NO_ONEDNN = (b"oneDNN supports DT_",)
"""Logged once, as an error, when a type is transposed for which oneDNN needs AVX-512. Nothing is
wrong: TensorFlow's own kernel does it. A log level that hides this would hide real errors."""


def import_keras() -> tuple[Any, Any]:
    """The modules ``tensorflow`` and ``keras``, imported at the first call.

    Call it before other threads start: while it runs, ``import matplotlib`` fails, and all
    output to standard error is held back until it ends.

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
    # Also if the program has already imported Keras, with the settings of ~/.keras/keras.json.
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    return tf, keras


def take_onednn_notice() -> None:
    """Makes TensorFlow log now, hidden, that oneDNN does not transpose integers on this processor.

    It logs this once per process: here, instead of at the first update. Takes 10 ms. TensorFlow's
    threads cannot be configured afterwards.
    """
    tf, _ = import_keras()
    with _without(_NO_ONEDNN):
        tf.transpose(tf.zeros([1, 1], tf.int32))


def bytecode_advice() -> str | None:
    """What to run once so that TensorFlow starts faster; None if there is nothing to do.

    Some installers leave no byte code, and ``PYTHONDONTWRITEBYTECODE`` keeps Python from
    writing it: then every start compiles 2,600 files.
    """
    found = importlib.util.find_spec("tensorflow")
    if not sys.dont_write_bytecode or found is None or found.origin is None:
        return None
    if Path(importlib.util.cache_from_source(found.origin)).exists():
        return None
    packages = Path(found.origin).parent
    return (
        "TensorFlow is compiled again at every start, which takes about 5 s, because no byte code "
        "is installed and PYTHONDONTWRITEBYTECODE is set. To compile it once: "
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
    """Gives Keras an empty folder during its import. It would read ``keras.json`` in its own, and
    a different order of channels there would train a different network."""
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
    """Holds back standard error, then writes every line that contains none of the notices."""
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
