import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyqueue.errors import CheckpointError
from tinyqueue.run.checkpoint import Checkpoint, read_checkpoint, read_score, write_checkpoint

FILES = ("checkpoint.json", "weights.bin", "state.bin", "policy.onnx", "manifest.json")
SPEC = {
    "environment": {"id": "CartPole-v1", "kwargs": {}},
    "observation_space": {"": {"dtype": "float32", "shape": [4]}},
    "action_space": {"": {"n": 2}},
    "graph_sha256": "0" * 64,
}


def checkpoint(**changes) -> Checkpoint:
    values = {
        "env_steps": 2048,
        "updates": 3,
        "version": 5,
        "weights": {"dense/kernel": np.arange(6, dtype=np.float32).reshape(2, 3)},
        "state": {"adam/step": np.array(3, np.int64), "rng": np.array([1, 2], np.uint32)},
        "graph": b"onnx graph",
        "spec": SPEC,
        "clock": {"trained_s": 1.5},
        "score": 475.25,
    }
    return Checkpoint(**{**values, **changes})


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "000000002048"
    folder.mkdir()
    write_checkpoint(folder, checkpoint())
    return folder


def test_a_checkpoint_reads_back_as_it_was_written(folder):
    read, written = read_checkpoint(folder), checkpoint()
    for name in ("env_steps", "updates", "version", "graph", "spec", "clock", "score"):
        assert getattr(read, name) == getattr(written, name)
    for mine, other in ((read.weights, written.weights), (read.state, written.state)):
        assert mine.keys() == other.keys()
        for key, array in mine.items():
            assert array.dtype == other[key].dtype
            assert array.shape == other[key].shape
            np.testing.assert_array_equal(array, other[key])
    assert read_score(folder) == 475.25


def test_large_numbers_of_arrays_fit(tmp_path):
    tmp_path.joinpath("1").mkdir()
    state = {f"layer/{i}/kernel": np.full(3, i, np.float32) for i in range(6000)}
    write_checkpoint(tmp_path / "1", checkpoint(state=state))
    assert read_checkpoint(tmp_path / "1").state["layer/5999/kernel"].tolist() == [5999.0] * 3


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} cannot be read"):
        read_checkpoint(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_file_torn_anywhere_is_refused(folder, name):
    whole = (folder / name).read_bytes()
    for length in {0, 1, len(whole) // 2, len(whole) - 2}:
        (folder / name).write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"differs|cannot be read"):
            read_checkpoint(folder)


@pytest.mark.parametrize("name", FILES[:-1])
def test_any_flipped_bit_is_refused(folder, name):
    whole = bytearray((folder / name).read_bytes())
    for at in range(len(whole)):
        flipped = whole.copy()
        flipped[at] ^= 1 << (at % 8)
        (folder / name).write_bytes(flipped)
        with pytest.raises(CheckpointError, match=f"{name}.*differs"):
            read_checkpoint(folder)


def test_a_flipped_bit_in_the_manifest_never_yields_other_content(folder):
    path = folder / "manifest.json"
    whole = bytearray(path.read_bytes())
    refused = 0
    for at in range(len(whole)):
        flipped = whole.copy()
        flipped[at] ^= 1 << (at % 8)
        path.write_bytes(flipped)
        try:
            assert read_checkpoint(folder).score == 475.25
        except CheckpointError:
            refused += 1
    assert refused > len(whole) * 0.8


def test_other_bounds_of_its_actions_are_another_environment():
    def spec(**native):
        return {**SPEC, "action_space": {"": {"n": 0, "native": {"keys": [], **native}}}}

    mine = checkpoint(spec=spec(low=[-1.0]))
    mine.require_same(spec(low=[-1.0]))
    with pytest.raises(CheckpointError, match=r"action_space .*-1\.0.*-2\.0"):
        mine.require_same(spec(low=[-2.0]))
    # Of before it was written down
    mine.require_same({**SPEC, "action_space": {"": {"n": 0}}})


def test_a_checkpoint_of_another_schema_is_refused(folder):
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"schema": 2', '"schema": 3'))
    with pytest.raises(CheckpointError, match=r"schema 3.*reads 2"):
        read_checkpoint(folder)


def test_a_manifest_cannot_reach_outside_its_folder(folder):
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace("policy.onnx", "../policy.onnx"))
    shutil.copy(folder / "policy.onnx", folder.parent)
    with pytest.raises(CheckpointError, match="no hashes"):
        read_checkpoint(folder)


def test_an_equal_environment_may_go_on(folder):
    other = {**SPEC, "environment": {"id": "CartPole-v1", "kwargs": {}}, "graph_sha256": "1" * 64}
    read_checkpoint(folder).require_same(other)
    read_checkpoint(folder).require_same({**SPEC, "action_space": {"": {"n": 2}}})


def test_a_setting_that_is_not_set_is_as_one_that_was_not_there(folder):
    environment: Any = SPEC["environment"]
    read_checkpoint(folder).require_same({**SPEC, "environment": {**environment, "drop": None}})
    other = {**SPEC, "environment": {**environment, "drop": ["mission"]}}
    with pytest.raises(CheckpointError, match="mission"):
        read_checkpoint(folder).require_same(other)


def test_another_environment_is_refused_with_both_values(folder):
    other = {**SPEC, "action_space": {"": {"n": 3}}}
    with pytest.raises(CheckpointError, match=r'action_space .*"n": 2.*"n": 3'):
        read_checkpoint(folder).require_same(other)


def test_a_folder_without_a_score_says_none(tmp_path, folder):
    assert read_score(tmp_path / "absent") is None
    (folder / "checkpoint.json").write_text("{")
    assert read_score(folder) is None


@pytest.mark.integration
def test_it_is_read_without_tensorflow(folder):
    script = (
        "import sys; from pathlib import Path\n"
        "from tinyqueue.run.checkpoints import CheckpointReader\n"
        "assert CheckpointReader(Path(sys.argv[1])).newest().version == 5\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(folder.parent)],
        check=True,
        cwd=Path(__file__).parents[2],
        env=os.environ,
    )
