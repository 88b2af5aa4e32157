"""A sample: a trained policy as a folder of three small files that plays on any machine.

``policy.onnx`` is the acting graph without its weights, ``weights.npz`` holds the weights in half
precision, but statistics of observations in full. ``manifest.json`` says what it plays, how it was
trained, how well exactly these weights played, and the sha256 of the other two. It needs only
NumPy and ONNX Runtime.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinyqueue.data.names import OBSERVATION_STATISTICS
from tinyqueue.data.spaces import Arrays
from tinyqueue.errors import CheckpointError
from tinyqueue.policy.manifest import ManifestError, of_kind, parsed, taken

SCHEMA = 1
MANIFEST, GRAPH, WEIGHTS = "manifest.json", "policy.onnx", "weights.npz"
MOST_BYTES = 4_000_000
"""Limit of the three files together: small enough for a repository, and quick to download."""
_MOST_UNPACKED = 16 * MOST_BYTES


@dataclass(frozen=True)
class Result:
    """Evaluation episodes played with a sample's weights after rounding.

    Attributes:
        policy: ``greedy``, ``sampled`` or ``epsilon 0.001``.
        seed: Seed of the episodes.
        returns: Undiscounted return of every episode.
        mean, standard_error: Of the returns.
        mean_length: Env steps per episode.
    """

    policy: str
    seed: int
    returns: tuple[float, ...]
    mean: float
    standard_error: float
    mean_length: float


@dataclass(frozen=True)
class Sample:
    """A policy to share.

    Attributes:
        graph: The acting half as ONNX, without its weights.
        weights: Variable path → array, in the graph's dtype.
        spec: The PlaySpec that it was trained with, as plain tables.
        version: The weight version of these weights.
        env_steps: Env steps of training behind them.
        algorithm, model: Their names in the experiment.
        made: Date, such as ``2026-11-21``.
        tinyqueue: The tinyqueue version that wrote it.
        results: Evaluations of it.
    """

    graph: bytes
    weights: Arrays
    spec: dict[str, Any]
    version: int
    env_steps: int
    algorithm: str
    model: str
    made: str
    tinyqueue: str
    results: tuple[Result, ...] = field(default=())


def rounded(weights: Arrays) -> Arrays:
    """The weights as a sample will hold them: floats are rounded to 11 bits of precision.

    Raises:
        CheckpointError: A weight is not finite, or too large for half precision.
    """
    return {path: array.astype(weights[path].dtype) for path, array in _halves(weights).items()}


def is_sample(folder: Path) -> bool:
    """Whether a folder is a sample, complete or not; a checkpoint's folder is not."""
    names = (MANIFEST, GRAPH, WEIGHTS)
    return not (folder / "checkpoint.json").exists() and any(
        (folder / name).is_file() for name in names
    )


def write_sample(folder: Path, sample: Sample) -> int:
    """Writes a sample to an empty folder.

    Returns:
        Size of the three files in bytes.

    Raises:
        CheckpointError: They exceed 4 MB, or a weight has no half-precision value.
        OSError: The disk refused a file.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, array in _halves(sample.weights).items():
            # A constant date: equal weights give equal files.
            entry = zipfile.ZipInfo(f"{path}.npy", (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    files = {GRAPH: sample.graph, WEIGHTS: packed.getvalue()}
    files[MANIFEST] = _manifest(sample, files)
    size = sum(len(data) for data in files.values())
    if size > MOST_BYTES:
        raise CheckpointError(
            f"the sample would have {size:,} bytes, {len(files[WEIGHTS]):,} of them weights, and "
            f"the limit is {MOST_BYTES:,}. Train a smaller model, such as shallow."
        )
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return size


def read_sample(folder: Path) -> Sample:
    """Reads the sample in a folder.

    Raises:
        CheckpointError: A file is missing, incomplete, altered or has another schema; the message
            says which.
    """
    name = MANIFEST
    try:
        about = parsed((folder / MANIFEST).read_bytes())
        schema = taken(about, "schema", int)
        if schema != SCHEMA:
            raise CheckpointError(
                f"{folder}: the sample has schema {schema}, this tinyqueue reads "
                f"{SCHEMA}. Use the tinyqueue that wrote it."
            )
        hashes, spec = taken(about, "sha256", dict), taken(about, "spec", dict)
        if taken(spec, "graph_sha256", str, "spec.") != taken(hashes, GRAPH, str, "sha256."):
            raise ManifestError(f"spec.graph_sha256 differs from sha256.{GRAPH}")
        results = taken(about, "results", list)
        graph, weights = (_checked(folder / name, hashes) for name in (GRAPH, WEIGHTS))
        sample = Sample(
            graph=graph,
            weights={},
            spec=spec,
            version=taken(about, "version", int),
            env_steps=taken(about, "env_steps", int),
            algorithm=taken(about, "algorithm", str),
            model=taken(about, "model", str),
            made=taken(about, "made", str),
            tinyqueue=taken(about, "tinyqueue", str),
            results=tuple(_result(each, f"results[{n}]") for n, each in enumerate(results)),
        )
        name = WEIGHTS
        return replace(sample, weights=_unpacked(weights))
    except OSError as error:
        name = Path(error.filename).name if error.filename else "a file"
        raise CheckpointError(
            f"{folder}: {name} cannot be read ({error.strerror}). A sample has {MANIFEST}, "
            f"{GRAPH} and {WEIGHTS}; copy all of it again."
        ) from error
    except (ValueError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{folder}: {name} cannot be used: {error}. Copy the sample again, or export it again."
        ) from error


def _manifest(sample: Sample, files: Mapping[str, bytes]) -> bytes:
    about = {
        "schema": SCHEMA,
        "experiment": sample.spec["experiment"],
        "environment": sample.spec["environment"]["id"],
        "algorithm": sample.algorithm,
        "model": sample.model,
        "env_steps": sample.env_steps,
        "version": sample.version,
        "made": sample.made,
        "tinyqueue": sample.tinyqueue,
        "results": [{**vars(each), "games": len(each.returns)} for each in sample.results],
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        "spec": sample.spec,
    }
    return (json.dumps(about, indent=1, allow_nan=False) + "\n").encode()


def _result(value: Any, name: str) -> Result:
    about, within = of_kind(value, dict, name), f"{name}."
    returns = taken(about, "returns", list, within)
    return Result(
        policy=taken(about, "policy", str, within),
        seed=taken(about, "seed", int, within),
        returns=tuple(of_kind(r, float, f"{within}returns[{n}]") for n, r in enumerate(returns)),
        mean=taken(about, "mean", float, within),
        standard_error=taken(about, "standard_error", float, within),
        mean_length=taken(about, "mean_length", float, within),
    )


def _checked(path: Path, hashes: Mapping[str, Any]) -> bytes:
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != taken(hashes, path.name, str, "sha256."):
        raise CheckpointError(
            f"{path.parent}: {path.name} ({len(data):,} bytes) is not the file that the manifest "
            "describes: it is incomplete or was altered. Copy the sample again, or export it again."
        )
    return data


def _halves(weights: Arrays) -> Arrays:
    halves = {}
    for path, array in weights.items():
        half = array
        # Half precision ends at 65,504, and a mean may be far larger than its deviation.
        if array.dtype.kind == "f" and not path.startswith(OBSERVATION_STATISTICS):
            with np.errstate(over="ignore"):
                half = array.astype("<f2")
            if not np.isfinite(half).all():
                raise CheckpointError(
                    f"the weights {path} hold a number that half precision cannot represent "
                    f"(largest {np.abs(array).max():g}, at most 65,504). This policy cannot be "
                    "exported as a sample."
                )
        halves[path] = half
    return halves


def _unpacked(data: bytes) -> Arrays:
    weights = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > _MOST_UNPACKED:
            raise ValueError(f"it unpacks to more than {_MOST_UNPACKED:,} bytes")
        for entry in archive.infolist():
            with archive.open(entry) as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
            path = entry.filename.removesuffix(".npy")
            weights[path] = array.astype(np.float32) if array.dtype.kind == "f" else array
    return weights
