"""Session batches as a plain ``.npz``, which can be read with NumPy, without tinyqueue."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array
from tinyqueue.errors import ConfigError
from tinyqueue.wire.headers import header_values

_PLAIN = ("rewards", "terminated", "truncated", "valid")
_GROUPS = ("observations", "actions", "extras", "carry")
_EPISODES = ("slots", "returns", "lengths", "seconds")
_INFO = ("info_last", "info_mean")


def export(path: Path, batches: Iterable[tuple[int, SessionBatch]]) -> list[int]:
    """Writes batches one by one, so that a log of any size needs the memory of one batch.

    Args:
        path: A new file.
        batches: Batches with their numbers in the log.

    Returns:
        The numbers written. In the file they are ``numbers``, and each batch's arrays are called
        ``<number>/rewards``, ``<number>/observations`` or ``<number>/observations/<path>`` and so
        on; ``<number>/header`` is JSON.

    Raises:
        ConfigError: The file already exists, or cannot be written.
    """
    try:
        file = path.open("xb")
    except FileExistsError as error:
        raise ConfigError(f"{path} already exists. Remove it, or give another name.") from error
    except OSError as error:
        raise _refusal(path, error) from error
    written = []
    try:
        with file, zipfile.ZipFile(file, "w", allowZip64=True) as archive:
            for number, batch in batches:
                for name, array in _arrays(batch).items():
                    _write(archive, f"{number}/{name}", array)
                written.append(number)
            _write(archive, "numbers", np.array(written, np.int64))
    except BaseException as error:
        path.unlink()
        if isinstance(error, OSError):
            raise _refusal(path, error) from error
        raise
    return written


def _refusal(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path} cannot be written: {error.strerror}. Give another place.")


def _arrays(batch: SessionBatch) -> dict[str, Array]:
    arrays = {name: getattr(batch, name) for name in _PLAIN}
    for group in _GROUPS:
        for path, array in getattr(batch, group).items():
            arrays["/".join([group, *filter(None, [path])])] = array
    for column in _EPISODES:
        arrays[f"episodes/{column}"] = getattr(batch.episodes, column)
    for column in _INFO:
        if getattr(batch.episodes, column).size:
            arrays[f"episodes/{column}"] = getattr(batch.episodes, column)
    header = header_values(batch.header) | {"epsilons": batch.header.epsilons}
    arrays["header"] = np.array(json.dumps(header))
    return arrays


def _write(archive: zipfile.ZipFile, name: str, array: Array) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
