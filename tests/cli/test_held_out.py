"""``tinyqueue evaluate --held-out``."""

import json
import sys
from pathlib import Path

import pytest
from balancing import trained_run
from whole_runs import constant, whole_run

from tinyqueue.installing import install_command

SAMPLE = Path(__file__).parents[2] / "samples" / "pong"


def document(algorithm):
    return {
        "name": "pole",
        "environment": {"id": "CartPole-v1"},
        "algorithm": {"name": algorithm},
        "model": {"name": "mlp"},
    }


@pytest.mark.parametrize(
    ("algorithm", "bias", "key", "name"),
    [("impala", (0.83,), "value", "value"), ("dqn", (-2.0, 0.83), "max_q", "max Q")],
)
def test_what_a_checkpoint_expects_is_said_beside_its_games(
    tinyqueue, tmp_path, algorithm, bias, key, name
):
    run = whole_run(tmp_path / "runs", document(algorithm), constant(*bias))

    said = tinyqueue("evaluate", run, "-n", 2, "--held-out")
    result = json.loads(tinyqueue("evaluate", run, "-n", 2, "--held-out", "--json").out)

    assert said.code == 0, said.err
    states = result["held_out"]["states"]
    assert 3800 < states < 4000
    assert result["held_out"] == {key: pytest.approx(0.83), "states": states}
    assert f"mean {name} 0.830 in {states:,} held-out states\n" in said.out
    assert (result["policy_version"], result["count"]) == (10, 2)


def test_unasked_nothing_is_said_of_it(tinyqueue, tmp_path):
    run = trained_run(tmp_path / "runs")

    assert "held_out" not in json.loads(tinyqueue("evaluate", run, "-n", 1, "--json").out)


def test_a_sample_has_no_whole_network(tinyqueue):
    refused = tinyqueue("evaluate", SAMPLE, "-n", 1, "--held-out")

    assert refused.code == 1
    assert "samples/pong is a sample: it holds only the acting half of the network" in refused.err
    assert "Give the run directory that it was exported from" in refused.err
    assert refused.out == ""


def test_without_tensorflow_the_extra_is_named_before_any_game(tinyqueue, tmp_path, monkeypatch):
    run = whole_run(tmp_path / "runs", document("impala"))
    monkeypatch.setitem(sys.modules, "tensorflow", None)

    refused = tinyqueue("evaluate", run, "--held-out")

    assert refused.code == 1
    assert install_command("learner") in refused.err
    assert refused.out == ""
