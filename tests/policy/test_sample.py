"""Samples: three small files, whole or refused."""

import hashlib
import json
from typing import Any

import numpy as np
import pytest
from balancing import BALANCES, graph, spec

from tinyqueue.errors import CheckpointError
from tinyqueue.policy.sample import Result, Sample, is_sample, read_sample, rounded, write_sample

RESULT = Result("greedy", 0, (500.0, 480.5), 490.25, 9.75, 490.25)


def sample(**changes):
    values: dict[str, Any] = {
        "graph": graph(),
        "weights": {"dense/kernel": BALANCES, "steps": np.array([3], np.int64)},
        "spec": spec().model_dump(mode="json"),
        "version": 10,
        "env_steps": 1000,
        "algorithm": "impala",
        "model": "mlp",
        "made": "2026-11-21",
        "tinyqueue": "0.1.0",
        "results": (RESULT,),
    }
    return Sample(**(values | changes))


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "pole"
    made.mkdir()
    write_sample(made, sample())
    return made


def test_a_sample_comes_back_as_it_was_written_in_half_precision(folder):
    read = read_sample(folder)

    assert read.graph == graph()
    assert list(read.weights) == ["dense/kernel", "steps"]
    kernel = read.weights["dense/kernel"]
    assert kernel.dtype == np.float32
    # 11 bits of precision: 0.1 becomes 0.0999755859375.
    assert kernel[0].tolist() == [-0.0999755859375, 0.0999755859375]
    assert kernel[1:].tolist() == BALANCES[1:].tolist()
    assert read.weights["steps"].tolist() == [3]
    assert read.results == (RESULT,)
    assert read.spec == spec().model_dump(mode="json")
    assert (read.version, read.env_steps) == (10, 1000)
    assert (read.algorithm, read.model, read.made) == ("impala", "mlp", "2026-11-21")


def test_what_is_played_before_writing_is_what_is_read(folder):
    before = rounded(sample().weights)

    assert before["dense/kernel"].dtype == np.float32
    for path, array in read_sample(folder).weights.items():
        assert np.array_equal(array, before[path])


def test_statistics_of_observations_keep_full_precision(tmp_path):
    # Given a mean that half precision cannot represent, and one that it would round
    path = "observation_statistics_/mean"
    means = np.array([1e5, 1001.3], np.float32)

    # When they are written and read
    write_sample(tmp_path, sample(weights={path: means}))

    # Then they are what players had
    assert read_sample(tmp_path).weights[path].tolist() == means.tolist()


def test_the_manifest_says_what_a_person_wants_to_know(folder):
    manifest = json.loads((folder / "manifest.json").read_text())

    assert manifest["environment"] == "CartPole-v1"
    assert manifest["results"][0]["games"] == 2
    assert manifest["results"][0]["returns"] == [500.0, 480.5]
    for name, digest in manifest["sha256"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert set(manifest["sha256"]) == {"policy.onnx", "weights.npz"}


def test_the_same_policy_is_the_same_files(folder, tmp_path):
    again = tmp_path / "again"
    again.mkdir()
    write_sample(again, sample())

    for file in folder.iterdir():
        assert (again / file.name).read_bytes() == file.read_bytes()


def test_the_weights_are_a_plain_npz_of_half_floats(folder):
    with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
        assert arrays["dense/kernel"].dtype == np.float16


@pytest.mark.parametrize("name", ["manifest.json", "policy.onnx", "weights.npz"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()

    assert is_sample(folder)
    with pytest.raises(CheckpointError, match=rf"pole: {name} cannot be read \(No such file"):
        read_sample(folder)


@pytest.mark.parametrize("name", ["policy.onnx", "weights.npz"])
@pytest.mark.parametrize("harm", ["torn", "altered"])
def test_a_file_that_is_not_the_manifests_is_named(folder, name, harm):
    data = (folder / name).read_bytes()
    middle = len(data) // 2
    changed = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    (folder / name).write_bytes(data[:middle] if harm == "torn" else changed)

    said = rf"{name} \(\d+ bytes\) is not the file .*incomplete"
    with pytest.raises(CheckpointError, match=said):
        read_sample(folder)


def test_a_torn_manifest_is_refused(folder):
    manifest = folder / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:-40])

    with pytest.raises(CheckpointError, match=r"manifest.json cannot be used: it is not JSON \("):
        read_sample(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": 2}, r"has schema 2, this tinyqueue reads 1"),
        ({"results": [{"returns": []}]}, r"results\[0\].policy is missing; it should be a text"),
        ({"results": [4]}, r"results\[0\] is 4, and should be an object with keys"),
        ({"results": 3}, "results is 3, and should be a list"),
        ({"version": 1.5}, "version is 1.5, and should be a whole number"),
        ({"env_steps": True}, "env_steps is true, and should be a whole number"),
        ({"made": ["x" * 99]}, r'made is \["x{58} …, and should be a text'),
        ({"sha256": {}}, "sha256.policy.onnx is missing; it should be a text"),
        ({"spec": None}, "spec is null, and should be an object with keys"),
        (
            {"spec": {"graph_sha256": "0" * 64}},
            "spec.graph_sha256 differs from sha256.policy.onnx",
        ),
    ],
)
def test_a_manifest_of_another_form_is_refused_with_the_key(folder, changes, said):
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | changes))

    with pytest.raises(CheckpointError, match=said) as raised:
        read_sample(folder)

    if "schema" not in changes:
        assert str(raised.value).startswith(f"{folder}: manifest.json cannot be used: ")
        assert str(raised.value).endswith(". Copy the sample again, or export it again.")


@pytest.mark.parametrize("text", ["[1]", "7", "null"])
def test_a_manifest_that_is_no_object_is_refused(folder, text):
    (folder / "manifest.json").write_text(text)

    with pytest.raises(CheckpointError, match=r"all of it is .*, and should be an object"):
        read_sample(folder)


def test_weights_that_unpack_to_too_much_are_refused_before_they_do(tmp_path):
    big = {"w": np.zeros((65, 1 << 19), np.float32)}  # 68 MB of zeros in 70 kB.
    write_sample(tmp_path, sample(weights=big))

    with pytest.raises(CheckpointError, match=r"weights.npz cannot be used: it unpacks to more"):
        read_sample(tmp_path)


def test_a_policy_of_more_than_four_megabytes_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    large = {"w": rng.standard_normal(2_200_000).astype(np.float32)}

    with pytest.raises(CheckpointError, match=r"the limit is 4,000,000. Train a smaller model"):
        write_sample(tmp_path, sample(weights=large))
    assert list(tmp_path.iterdir()) == []


def test_nature_sized_weights_fit(tmp_path):
    rng = np.random.default_rng(0)
    nature = {"w": (0.02 * rng.standard_normal(1_690_000)).astype(np.float32)}

    assert 3_000_000 < write_sample(tmp_path, sample(weights=nature)) < 4_000_000


@pytest.mark.parametrize("value", [1e6, np.nan, np.inf])
def test_a_weight_without_a_half_is_named(value):
    with pytest.raises(CheckpointError, match=r"the weights dense/bias hold a number"):
        rounded({"dense/bias": np.array([value], np.float32)})


def test_other_folders_are_no_samples(tmp_path, folder):
    (tmp_path / "checkpoint.json").write_text("{}")
    (tmp_path / "manifest.json").write_text("{}")

    assert is_sample(folder)
    assert not is_sample(tmp_path)
    assert not is_sample(tmp_path / "nowhere")
