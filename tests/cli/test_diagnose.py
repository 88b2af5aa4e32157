"""``tinyqueue diagnose`` says how a run ended."""

import json
import shutil
from pathlib import Path

import pytest

RECORDED = Path(__file__).parents[1] / "monitor" / "runs" / "cartpole-ppo"
REASON = "no session batch was accepted within 60 s: its process ended with exit code 0"


@pytest.fixture
def ended(tmp_path):
    """The folder of a recorded run, with the outcome given."""

    def make(**outcome):
        run = tmp_path / "1"
        shutil.copytree(RECORDED, run)
        if outcome:
            (run / "outcome.json").write_text(json.dumps({"remarks": [], **outcome}))
        return run

    return make


def last_env_steps():
    return json.loads((RECORDED / "metrics.jsonl").read_text().splitlines()[-1])["env_steps"]


def test_a_run_that_failed_is_said_to_have_with_its_reason(tinyqueue, ended):
    run = ended(ended="failed", reason=REASON, env_steps=last_env_steps())

    said = tinyqueue("diagnose", run).out
    facts = json.loads(tinyqueue("diagnose", run, "--json").out)

    assert "last ended: failed" in said
    assert f"the run failed: {REASON}" in " ".join(said.split())
    assert "nothing stands out" not in said
    assert (facts["ended"], facts["reason"]) == ("failed", REASON)
    assert [finding["name"] for finding in facts["findings"]] == ["run-failed"]


@pytest.mark.parametrize("how", ["solved", "max env steps", "stopped", ""])
def test_nothing_stands_out_in_a_run_that_ended_well_or_not_yet(tinyqueue, ended, how):
    run = ended(**({"ended": how, "reason": "", "env_steps": 9} if how else {}))

    said = tinyqueue("diagnose", run).out

    assert (f"last ended: {how}" in said) == bool(how)
    assert "nothing stands out" in said


def test_what_was_noted_at_the_end_is_repeated(tinyqueue, ended):
    run = ended(ended="solved", reason="", env_steps=9, remarks=["a player died twice"])

    assert "noted at its end: a player died twice" in tinyqueue("diagnose", run).out
    assert json.loads(tinyqueue("diagnose", run, "--json").out)["remarks"] == [
        "a player died twice"
    ]


def test_a_run_that_has_hardly_begun_is_not_called_sound(tinyqueue, ended):
    run = ended()
    (run / "evaluations.jsonl").unlink(missing_ok=True)
    for name in ("metrics", "episodes"):
        path = run / f"{name}.jsonl"
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))

    said = tinyqueue("diagnose", run).out

    assert "it is too short to judge" in said
    assert "nothing stands out" not in said
