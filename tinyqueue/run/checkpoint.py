"""One checkpoint: a folder of files. The manifest with the hash of every file is written last.

A folder without a matching manifest is no checkpoint, whether it was cut short or changed. A
checkpoint holds the acting graph and the spec, so it can be read and played without TensorFlow.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinyqueue.data.spaces import Arrays
from tinyqueue.errors import CheckpointError, MessageError
from tinyqueue.experiment.play_spec import of_today
from tinyqueue.run.durable_files import sync_directory, write_synced
from tinyqueue.run.json_text import json_document
from tinyqueue.wire.arrays import pack, unpack
from tinyqueue.wire.limits import Limits

SCHEMA = 2
MANIFEST = "manifest.json"
_SAME_IN_SPEC = ("environment", "observation_space", "action_space", "state")
_NATIVE = "native"
_MOST = 1 << 30


@dataclass(frozen=True)
class ReplayState:
    """What a checkpoint keeps of a replay. The experience itself is in the session log.

    Attributes:
        arrays: Priorities of the items, by position in the session log.
        limiter: Env steps inserted and sampled so far, and the training still due.
    """

    arrays: Arrays = field(default_factory=dict)
    limiter: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """A point of a run to resume from, or to play from.

    Attributes:
        env_steps, updates: Its position in the run.
        version: The newest weight version at that time. Its weights equal these if every update is
            published (``learner.publish_every_updates = 1``) or if they were evaluated; otherwise
            these may be some updates ahead.
        weights: Weights of the acting graph: variable path → array.
        state: The algorithm's state: model, optimiser, generators.
        graph: The acting half as ONNX, without its weights.
        spec: The PlaySpec that it was trained with, as plain tables.
        clock: Other clocks and counters, as plain values.
        replay: State of the replay; empty without one.
        score: Mean return of its evaluation; None if it was not evaluated.
    """

    env_steps: int
    updates: int
    version: int
    weights: Arrays
    state: Arrays
    graph: bytes
    spec: dict[str, Any]
    clock: dict[str, Any] = field(default_factory=dict)
    score: float | None = None
    replay: ReplayState = field(default_factory=ReplayState)

    def require_same(self, spec: Mapping[str, Any]) -> None:
        """Rejects an environment or spaces that differ from those of training.

        Args:
            spec: The PlaySpec to continue with, as plain tables.

        Raises:
            CheckpointError: They differ; the message names the difference and both values.
        """
        was, is_now = of_today(self.spec), of_today(spec)
        for key in _SAME_IN_SPEC:
            values = _comparable(was.get(key)), _comparable(is_now.get(key))
            mine, other = map(_as_json, _both_told(*values))
            if mine != other:
                raise CheckpointError(
                    f"the checkpoint at {self.env_steps} env steps was trained with {key} {mine}, "
                    f"and this run has {other}. Restore the former, or start a new run."
                )


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint to an empty folder and waits until it is on disk.

    Raises:
        OSError: The disk refused a file.
    """
    about = {
        "env_steps": checkpoint.env_steps,
        "updates": checkpoint.updates,
        "version": checkpoint.version,
        "spec": checkpoint.spec,
        "clock": checkpoint.clock,
        "score": checkpoint.score,
        "limiter": checkpoint.replay.limiter,
    }
    # Not compressed: weights hardly shrink, and training waits for this.
    files = {
        "checkpoint.json": json_document(about),
        "weights.bin": pack({}, checkpoint.weights),
        "state.bin": pack({}, checkpoint.state),
        "replay.bin": pack({}, checkpoint.replay.arrays),
        "policy.onnx": checkpoint.graph,
    }
    for name, data in files.items():
        write_synced(folder / name, data)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    write_synced(folder / MANIFEST, json_document({"schema": SCHEMA, "sha256": hashes}))
    sync_directory(folder)


def read_checkpoint(folder: Path) -> Checkpoint:
    """Reads the checkpoint in a folder; its arrays are read-only.

    Raises:
        CheckpointError: A file is missing, incomplete, altered, or has another schema.
    """
    try:
        hashes = _manifest(folder)
        files = {name: _read_checked(folder / name, sha256) for name, sha256 in hashes.items()}
        about = json.loads(files["checkpoint.json"])
        return Checkpoint(
            weights=_arrays(files["weights.bin"]),
            state=_finite(_arrays(files["state.bin"])),
            graph=files["policy.onnx"],
            replay=ReplayState(_arrays(files["replay.bin"]), about.pop("limiter")),
            **about,
        )
    except OSError as error:
        file = Path(error.filename).name if error.filename else "a file"
        raise CheckpointError(f"{folder}: {file} cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, MessageError) as error:
        raise CheckpointError(f"{folder}: its content cannot be read ({error!r})") from error


def read_score(folder: Path) -> float | None:
    """Only the score, without checking the hash; None if there is none or it is not readable."""
    return _read_number(folder, "score")


def read_version(folder: Path) -> int | None:
    """Only the weight version, without checking the hash; None if it is not readable."""
    version = _read_number(folder, "version")
    return None if version is None else int(version)


def _read_number(folder: Path, key: str) -> float | None:
    try:
        number = json.loads((folder / "checkpoint.json").read_bytes())[key]
        return None if number is None else float(number)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _finite(state: Arrays) -> Arrays:
    """The same state, which nobody can train on where a number is infinite or NaN."""
    for name, array in state.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or infinity")
    return state


def _manifest(folder: Path) -> dict[str, str]:
    manifest = json.loads((folder / MANIFEST).read_bytes())
    if manifest["schema"] != SCHEMA:
        raise CheckpointError(
            f"{folder}: it has schema {manifest['schema']!r}, this tinyqueue reads {SCHEMA}"
        )
    hashes: dict[str, str] = manifest["sha256"]
    if not all("/" not in name and isinstance(value, str) for name, value in hashes.items()):
        raise ValueError("the manifest lists no hashes")
    return hashes


def _read_checked(path: Path, sha256: str) -> bytes:
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise CheckpointError(
            f"{path.parent}: {path.name} ({len(data)} bytes) differs from what was written"
        )
    return data


def _arrays(data: bytes) -> Arrays:
    _, arrays = unpack(data, Limits(head_bytes=_MOST, items=_MOST, arrays=_MOST))
    return arrays


def _as_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=list)


_OF_THE_MACHINE = ("hang_s", "single")
# Settings of an environment that do not affect what is learned.


def _both_told(one: Any, other: Any) -> tuple[Any, Any]:
    """Two spaces without what only one of them says of the environment's own values.

    Older versions did not write it down. Anything else than a space is returned as it is.
    """
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return one, other
    leaves = [*one.values(), *other.values()]
    if all(isinstance(leaf, Mapping) and _NATIVE in leaf for leaf in leaves):
        return one, other
    return _without_native(one), _without_native(other)


def _without_native(space: Mapping[str, Any]) -> dict[str, Any]:
    return {
        path: {k: v for k, v in leaf.items() if k != _NATIVE} if isinstance(leaf, Mapping) else leaf
        for path, leaf in space.items()
    }


def _comparable(value: Any) -> Any:
    """The value without unset settings, which an older version may not have had."""
    if not isinstance(value, Mapping):
        return value
    return {k: v for k, v in value.items() if v is not None and k not in _OF_THE_MACHINE}
