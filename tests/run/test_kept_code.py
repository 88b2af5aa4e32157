from pathlib import Path

import pytest

from tinyqueue.errors import ConfigError
from tinyqueue.run.kept_code import changes, copies, further_copies, relative


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.py"
    path.write_text("class Mine: pass\n")
    return path


def document(algorithm="impala", model="mlp"):
    return {
        "name": "pole",
        "algorithm": {"name": algorithm, "gamma": 0.9},
        "model": {"name": model},
    }


def test_what_has_no_file_is_left_as_it_is():
    assert copies(document()) == (document(), {}, {})
    assert copies({"name": "pole"}) == ({"name": "pole"}, {}, {})


def test_a_file_is_copied_and_named_within_the_run(own):
    kept = copies(document(f"{own}:Mine", f"{own}:built"))

    assert kept.document == document("algorithm/own.py:Mine", "model/own.py:built")
    assert kept.files == dict.fromkeys(["algorithm/own.py", "model/own.py"], own.read_bytes())
    assert kept.originals == {"algorithm": str(own), "model": str(own)}


def test_a_file_that_is_gone_cannot_be_copied(own):
    own.unlink()

    with pytest.raises(ConfigError, match=r"own\.py cannot be copied: No such file"):
        copies(document(f"{own}:Mine"))


def test_a_file_taken_later_is_copied_beside_the_earlier_ones_once(tmp_path, own):
    run = tmp_path / "runs" / "1"
    (run / "algorithm" / "2").mkdir(parents=True)
    (run / "algorithm" / "own.py").write_text("class Mine: x = 1\n")
    inside = f"{run}/model/net.py:built"

    kept = further_copies(document(f"{own}:Mine", inside), run)

    assert kept.document == document(f"{run}/algorithm/2/own.py:Mine", inside)
    assert kept.files == {"algorithm/2/own.py": own.read_bytes()}
    assert kept.originals == {"algorithm": str(own)}
    (run / "algorithm" / "2" / "own.py").write_bytes(own.read_bytes())
    assert further_copies(document(f"{own}:Mine", inside), run) == kept
    own.write_text("class Mine: x = 3\n")
    assert list(further_copies(document(f"{own}:Mine"), run).files) == ["algorithm/3/own.py"]


def test_paths_within_the_run_are_written_relative(tmp_path, own, monkeypatch):
    written = document("algorithm/own.py:Mine")
    absolute = document(f"{tmp_path}/runs/1/algorithm/own.py:Mine")
    assert relative(absolute, tmp_path / "runs" / "1") == written

    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert relative(absolute, Path("../runs/1")) == written
    elsewhere = document(f"{own}:Mine")
    assert relative(elsewhere, tmp_path / "runs" / "1") == elsewhere


def test_a_changed_original_is_told_and_one_that_is_gone_is_not(tmp_path, own):
    copy = tmp_path / "algorithm" / "own.py"
    copy.parent.mkdir()
    copy.write_bytes(own.read_bytes())
    kept, originals = document(f"{copy}:Mine"), {"algorithm": str(own)}
    names = (f"{copy}:Mine", "mlp")

    assert changes(kept, originals, names) == []
    own.write_text("class Mine: x = 2\n")
    (said,) = changes(kept, originals, names)
    assert said.startswith(f"{own} has changed, and the run goes on with its own copy, {copy}")
    assert f"--set algorithm.name={own}:Mine" in said
    assert changes(kept, originals, ("impala", "mlp")) == []
    own.unlink()
    assert changes(kept, originals, names) == []
    assert changes(kept, {}, names) == []
