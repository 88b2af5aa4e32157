"""An algorithm with a network of its own, through the commands; and one that fails."""

import json

import pytest
from linear_policy import FILE

SHORT = ("--serial", "--max-env-steps", "600", "--set", "session.slots=4", "--set",
         "evaluation.episodes=2", "--set", "evaluation.slots=2", "--set",
         "algorithm.name=own.py:Fixed")  # fmt: skip


@pytest.mark.integration
def test_it_trains_resumes_and_is_evaluated(tinyqueue, tmp_path):
    (tmp_path / "own.py").write_text(FILE)
    said = tinyqueue("train", "CartPole-v1", *SHORT, "--set", "algorithm.push=0.5")
    assert said.code == 0, said.err
    run = tmp_path / "runs" / "cartpole-fixed" / "1"
    (tmp_path / "own.py").unlink()

    resumed = tinyqueue("train", "--serial", "--resume", run, "--max-env-steps", "1200")
    evaluated = tinyqueue("evaluate", run, "-n", "2", "--json")
    asked = tinyqueue("evaluate", run, "-n", "2", "--held-out")

    assert resumed.code == 0, resumed.err
    assert evaluated.code == 0, evaluated.err
    # Both actions are worth the same, so the greedy one is always the first.
    assert json.loads(evaluated.out)["mean"] < 15
    assert asked.code == 1
    assert "own.py:Fixed brings its own network, and only it knows" in asked.err


def test_settings_of_a_model_that_it_does_not_use_are_refused(tinyqueue, tmp_path):
    (tmp_path / "own.py").write_text(FILE)
    refused = tinyqueue("train", "CartPole-v1", *SHORT, "--set", "model.hidden=[4]")
    assert refused.code == 1
    assert "model settings have no effect: own.py:Fixed brings its own network" in refused.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("line", "broken", "said"),
    [
        ("        return Update({})", "        return 1 / 0", "Fixed.update raised ZeroDivision"),
        (
            '        return {"w": self._w}',
            "        return self._v",
            "weights raised Attribute",
        ),
        (
            "        self._w = np.full(",
            '        raise OSError("no licence")\n        self._w = np.full(',
            "Fixed.__init__ raised OSError, while it was built for CartPole-v1.",
        ),
    ],
)
def test_its_own_error_is_shown_with_its_own_traceback(tinyqueue, tmp_path, line, broken, said):
    assert line in FILE
    (tmp_path / "own.py").write_text(FILE.replace(line, broken, 1))

    failed = tinyqueue("train", "CartPole-v1", *SHORT)

    assert failed.code == 1
    assert said in failed.err
    assert "own.py" in failed.err
    assert "Traceback (most recent call last):" in failed.err
    assert "tinyqueue/learner" not in failed.err


def test_an_update_that_fails_says_when(tinyqueue, tmp_path):
    fails = "        if env_steps:\n            raise RuntimeError('out of luck')\n"
    line = "        return Update({})"
    (tmp_path / "own.py").write_text(FILE.replace(line, fails + line))

    failed = tinyqueue("train", "CartPole-v1", *SHORT)

    # The first update had 32 ticks of 4 environments, a few of them at the ends of episodes.
    assert "own.py: Fixed.update raised RuntimeError, in update 2, at 1" in failed.err
    assert "out of luck" in failed.err
