from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyqueue.algorithms.base import Algorithm
from tinyqueue.algorithms.registry import ALGORITHMS, find
from tinyqueue.catalogue import make_experiment, of_run
from tinyqueue.data.spaces import Array
from tinyqueue.monitor.diagnosed_run import Finding, Run
from tinyqueue.monitor.diagnosis import RULES, diagnose, named
from tinyqueue.monitor.metrics import EvaluationField
from tinyqueue.monitor.recorded import Recorded, complete_lines, read_recorded

HERE = Path(__file__).parent
LINES = 100
RISING = np.linspace(10, 200, 1000)
FLAT = np.full(1000, 20.0)


def columns(**changed: Array | float) -> dict[str, Array]:
    """The metrics of a run that learns, with some of them changed."""
    healthy: dict[str, Array | float] = {
        "env_steps": np.linspace(1_000, 100_000, LINES),
        "episodes": np.linspace(10, 1_000, LINES),
        "environment_faults": 0.0,
        "batches_attempted": np.linspace(10, 1_000, LINES),
        "batches_set_aside": 0.0,
        "batches_dropped": np.linspace(2, 200, LINES),
        "policy_lag_mean": 1.0,
        "players_wait_share": 0.3,
        "loss": np.linspace(1.0, 0.1, LINES),
        "grad_norm": 0.7,
        "learning_rate": np.linspace(1e-3, 1e-5, LINES),
    }
    return {
        name: np.broadcast_to(np.asarray(values, np.float64), (LINES,))
        for name, values in {**healthy, **changed}.items()
    }


def run(
    returns: Array = RISING,
    level: float | None = 475.0,
    settings: dict[str, Any] | None = None,
    **changed: Array | float,
) -> Run:
    document: dict[str, Any] = {
        "name": "e",
        "environment": {"id": "CartPole-v1"},
        "algorithm": {"name": "ppo"},
    }
    experiment = make_experiment({**document, **(settings or {})})
    recorded = Recorded(columns(**changed), np.linspace(1_000, 100_000, len(returns)), returns)
    return Run(experiment, recorded, level, best=float(returns.max()))


def halves(first: float, last: float) -> Array:
    return np.repeat([first, last], LINES // 2)


PQN = {"algorithm": {"name": "pqn"}}
SPEAKING: list[tuple[str, Run, str]] = [
    ("run-failed", replace(run(), ended="failed", reason="no batch in 60 s"), "no batch in 60 s"),
    ("entropy-gone", run(FLAT, entropy=halves(0.69, 0.01)), "0.01 nats of 0.69"),
    ("entropy-stays", run(FLAT, entropy=0.69), "0.69 nats of 0.69"),
    ("value-explains-nothing", run(explained_variance=-0.02), "explained_variance -0.02"),
    ("policy-moves-far", run(clip_fraction=0.6, approx_kl=0.02), "60% of ratios"),
    ("policy-moves-far", run(clip_fraction=0.1, approx_kl=0.4), "KL 0.4 nats"),
    ("gradients-cut", run(grad_norm=50.0), "100 times algorithm.max_grad_norm = 0.5"),
    ("q-runs-away", run(settings=PQN, q_mean=np.geomspace(1, 9e4, LINES)), "beyond 200"),
    ("players-far-behind", run(policy_lag_mean=50.0), "50.0 versions behind"),
    ("waits-for-players", run(players_wait_share=0.9), "90% of the time"),
    ("much-set-aside", run(batches_set_aside=np.linspace(1, 120, LINES)), "12% of the"),
    ("learning-rate-spent", run(learning_rate=halves(1e-3, 0.0)), "for the last 50%"),
    ("environment-fails", run(environment_faults=np.linspace(1, 100, LINES)), "100 times in 1,000"),
    ("units-dead", replace(run(FLAT), dead_units=0.7), "70% of the network's units"),
    ("flat", run(FLAT), "rising at 20 of 475"),
]


@pytest.mark.parametrize(("name", "spoiled", "seen"), SPEAKING)
def test_a_rule_says_what_it_saw_and_what_to_look_at(name: str, spoiled: Run, seen: str) -> None:
    found = {finding.name: finding for finding in diagnose(spoiled)}
    assert seen in found[name].seen
    assert found[name].advice
    # A rule that explains a run comes before the one that only says that it is flat.
    assert list(found) == [name] or list(found) == [name, "flat"]


def test_every_rule_is_tried_above() -> None:
    spoken = {finding.name for _, spoiled, _ in SPEAKING for finding in diagnose(spoiled)}
    assert len(spoken) == len(RULES)


def test_nothing_stands_out_in_a_run_that_learns() -> None:
    healthy = run(
        entropy=np.linspace(0.69, 0.3, LINES),
        explained_variance=0.8,
        clip_fraction=0.1,
        approx_kl=0.01,
        q_mean=50.0,
    )
    assert diagnose(healthy) == []


@pytest.mark.parametrize("rule", RULES)
def test_no_rule_speaks_of_a_run_that_has_only_begun(rule: Any) -> None:
    begun = run(FLAT)
    first = {name: values[:1] for name, values in begun.recorded.columns.items()}
    recorded = Recorded(first, np.empty(0), np.empty(0))
    assert rule(Run(begun.experiment, recorded, None, None)) is None


LOST = {"run-failed", "environment-fails", "much-set-aside"}


@pytest.mark.parametrize(("name", "spoiled", "seen"), SPEAKING)
def test_of_a_run_at_its_level_only_what_it_lost_is_told(
    name: str, spoiled: Run, seen: str
) -> None:
    assert diagnose(spoiled)
    reached = replace(spoiled, best=spoiled.level)
    assert {finding.name for finding in diagnose(reached)} == LOST & {name}


def test_a_run_at_its_level_is_not_called_flat() -> None:
    reached = run(np.full(1000, 500.0), entropy=halves(0.69, 0.01))
    assert diagnose(reached) == []


EXAMPLES = HERE.parents[1] / "examples"
NAMES = [*ALGORITHMS, *(f"{EXAMPLES}/{name}" for name in ("a2c.py:A2c", "cem.py:CrossEntropy"))]


@pytest.mark.parametrize("algorithm", NAMES, ids=lambda name: name.rpartition("/")[2])
def test_advice_names_only_settings_that_the_experiment_has(algorithm: str) -> None:
    has_model = issubclass(find(algorithm), Algorithm)
    settings = {"algorithm": {"name": algorithm}}
    for _, spoiled, _ in SPEAKING:
        other = make_experiment({"environment": {"id": "CartPole-v1"}, **settings})
        for finding in diagnose(replace(spoiled, experiment=other)):
            assert finding.advice
            for setting in named(finding.advice):
                assert other.has_setting(setting), finding
                assert has_model or not setting.startswith("model."), finding


def test_a_switch_that_is_on_is_not_advised() -> None:
    spoken = run(settings=PQN, q_mean=np.geomspace(1, 9e4, LINES))
    normed = {**PQN, "model": {"name": "mlp", "layer_norm": True}}

    assert "set model.layer_norm" in diagnose(spoken)[0].advice
    spoken = run(settings=normed, q_mean=np.geomspace(1, 9e4, LINES))
    assert "layer_norm" not in diagnose(spoken)[0].advice


def test_real_numbers_have_no_least_entropy() -> None:
    assert {f.name for f in diagnose(run(FLAT, entropy=halves(1.4, -2.0)))} == {"flat"}


RECORDED = sorted(path for path in (HERE / "runs").iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", RECORDED, ids=lambda path: path.name)
def test_recorded_runs(folder: Path) -> None:
    """A folder's name is its run, then the rules that speak of it: ``cartpole-ppo+flat``."""
    name, *wanted = folder.name.split("+")
    found = [finding.name for finding in _diagnosed(folder)]
    assert found == wanted, name


def _diagnosed(folder: Path) -> list[Finding]:
    evaluations = list(complete_lines(folder / "evaluations.jsonl"))
    return diagnose(
        Run(
            of_run(folder),
            read_recorded(folder),
            evaluations[-1][EvaluationField.LEVEL] if evaluations else None,
            max((line[EvaluationField.RETURN_MEAN] for line in evaluations), default=None),
        )
    )


@pytest.mark.parametrize("ended", ["solved", "max env steps", "stopped"])
def test_a_run_that_ended_as_it_should_has_not_failed(ended: str) -> None:
    ended_well = replace(run(), ended=ended, reason="the evaluation took too long")
    assert diagnose(ended_well) == []


def test_the_page_of_metrics_explains_every_rule() -> None:
    page = (HERE.parents[1] / "docs" / "metrics.md").read_text()
    section = page.partition("## Why did it not learn?")[2].partition("\n## ")[0]
    explained = {line.split("`")[1] for line in section.splitlines() if line.startswith("| `")}
    assert explained == {name for name, _, _ in SPEAKING}
