"""Algorithms and models of the user's own, by the path of a file."""

import json
import shutil

import pytest

import tinyqueue as package

ALGORITHM = """
from dataclasses import dataclass

from tinyqueue.algorithms.impala import Impala, ImpalaConfig


@dataclass(frozen=True)
class MineConfig(ImpalaConfig):
    bonus: float = 0.5


class Mine(Impala):
    Config = MineConfig
"""
MODEL = """
from tinyqueue.models import mlp


def mine(observations, actions, outputs, config: mlp.MlpConfig, seed):
    return mlp.build(observations, actions, outputs, config, seed)
"""
SHORT = ("--serial", "--max-env-steps", "600", "--set", "session.slots=4", "--set",
         "model.hidden=[4]", "--set", "evaluation.episodes=2", "--set",
         "evaluation.slots=2")  # fmt: skip


@pytest.fixture
def own(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "mine.py").write_text(ALGORITHM)
    (tmp_path / "code" / "net.py").write_text(MODEL)
    (tmp_path / "code" / "pole.toml").write_text(
        'name = "pole"\n[environment]\nid = "CartPole-v1"\n'
        '[algorithm]\nname = "mine.py:Mine"\nbonus = 0.25\n[model]\nname = "net.py:mine"\n'
    )
    return tmp_path / "code"


@pytest.fixture
def trained(tinyqueue, own, tmp_path):
    """A run whose own files are gone."""
    said = tinyqueue("train", own / "pole.toml", *SHORT)
    assert said.code == 0, said.err
    run = tmp_path / "runs" / "pole" / "1"
    shutil.rmtree(own)
    return run


@pytest.mark.integration
def test_a_run_keeps_copies_and_resumes_from_them(tinyqueue, trained, tmp_path):
    text = (trained / "experiment.toml").read_text()

    assert 'name = "algorithm/mine.py:Mine"\n' in text
    assert "bonus = 0.25\n" in text
    assert 'name = "model/net.py:mine"\n' in text
    assert (trained / "algorithm" / "mine.py").read_text() == ALGORITHM
    assert (trained / "model" / "net.py").read_text() == MODEL

    moved = tmp_path / "elsewhere"
    shutil.move(trained, moved)

    said = tinyqueue("train", "--serial", "--resume", moved, "--max-env-steps", "1200")

    assert said.code == 0, said.err
    assert "CartPole-v1 with mine.py:Mine" in said.out
    assert "has changed" not in said.out


@pytest.mark.integration
def test_changed_code_of_a_resume_is_kept_and_the_run_goes_on_with_it(tinyqueue, trained, tmp_path):
    changed = ALGORITHM.replace("bonus: float = 0.5", "bonus: float = 0.5\n    other: int = 1")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine.py").write_text(changed)

    said = tinyqueue("train", "--serial", "--resume", trained, "--max-env-steps", "1200",
                     "--set", "algorithm.name=new/mine.py:Mine",
                     "--set", "algorithm.other=7")  # fmt: skip
    assert said.code == 0, said.err

    text = (trained / "experiment.toml").read_text()
    assert 'name = "algorithm/2/mine.py:Mine"\n' in text
    assert 'name = "model/net.py:mine"\n' in text
    assert "other = 7\n" in text
    assert "max_env_steps = 600\n" in text
    assert (trained / "algorithm" / "2" / "mine.py").read_text() == changed
    assert (trained / "algorithm" / "mine.py").read_text() == ALGORITHM

    (tmp_path / "new" / "mine.py").write_text(changed + "# More\n")
    again = tinyqueue("train", "--serial", "--resume", trained, "--max-env-steps", "1800")
    assert again.code == 0, again.err
    new = tmp_path / "new" / "mine.py"
    assert f"{new} has changed, and the run goes on with its own copy" in " ".join(
        again.out.split()
    )


@pytest.mark.integration
def test_code_that_does_not_fit_the_checkpoint_is_not_kept(tinyqueue, trained, tmp_path):
    (tmp_path / "wide.py").write_text(
        MODEL.replace("config, seed)\n", "mlp.MlpConfig(hidden=(5,)), seed)\n")
    )
    before = (trained / "experiment.toml").read_text()

    said = tinyqueue("train", "--serial", "--resume", trained, "--max-env-steps", "1200",
                     "--set", "model.name=wide.py:mine")  # fmt: skip

    assert said.code == 1
    assert (trained / "experiment.toml").read_text() == before


@pytest.mark.integration
def test_what_plays_needs_no_code(tinyqueue, trained):
    # The whole network is asked by the copies
    judged = tinyqueue("evaluate", trained, "-n", "1", "--held-out", "--json")
    assert judged.code == 0, judged.err
    assert json.loads(judged.out)["held_out"]["states"] > 0

    shutil.rmtree(trained / "algorithm")
    shutil.rmtree(trained / "model")

    assert tinyqueue("evaluate", trained, "-n", "2").code == 0
    assert tinyqueue("record", trained, "--out", "film.gif").code == 0
    assert tinyqueue("export", trained, "--out", "sample", "-n", "1").code == 0
    assert package.load(trained).env_steps >= 600


@pytest.mark.integration
def test_a_path_of_an_option_is_relative_to_the_working_folder(tinyqueue, own, tmp_path):
    said = tinyqueue("train", "CartPole-v1", *SHORT, "--set", "algorithm.name=code/mine.py:Mine",
                     "--set", "algorithm.bonus=0.75")  # fmt: skip

    assert said.code == 0, said.err
    text = (tmp_path / "runs" / "cartpole-mine" / "1" / "experiment.toml").read_text()
    assert "bonus = 0.75\n" in text


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("algorithm.name=code/mine.py:Mien", "'Mien'; did you mean 'Mine'?"),
        ("algorithm.name=code/mnie.py:Mine", "Did you mean '"),
        ("algorithm.name=code/broken.py:Mine", "line 2, in <module>\n    1 / 0\n"),
        ("algorithm.name=code/net.py:mine", "is not an algorithm"),
        ("algorithm.bonsu=1", "unknown key in [algorithm] 'bonsu'; did you mean 'bonus'?"),
        ("algorithm.bonus=high", "algorithm.bonus = 'high'"),
        ("model.name=code/mine.py:Mine", "is not a model"),
        ("algorithm.name=impela", "unknown algorithm 'impela'; did you mean 'impala'?"),
    ],
)
def test_a_mistake_is_told_before_anything_starts(tinyqueue, own, tmp_path, setting, said):
    (own / "broken.py").write_text("import math\n1 / 0\n")

    refused = tinyqueue("train", own / "pole.toml", "--set", setting)

    assert refused.code == 1
    assert said in refused.err
    assert "tinyqueue/experiment" not in refused.err
    assert not (tmp_path / "runs").exists()
