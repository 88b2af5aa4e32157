"""Seeds are counted, medians are of all of them, and a level must be reached twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tinyqueue.cli.experiments import configured, find_document
from tinyqueue.errors import ConfigError

Run = Callable[..., Any]


@pytest.fixture
def learning() -> ModuleType:
    import learning

    return learning


@pytest.fixture
def run(learning: ModuleType) -> Run:
    """A run of level 475 that reached it; with other values where they are given."""
    reached = learning.SeedRun(1, Path("runs/x/1"), 475.0, 20_000, 10.0, 480.0, 490.0)

    def changed(**values: Any) -> Any:
        return replace(reached, **values)

    return changed


def unsolved(run: Run) -> Any:
    return run(env_steps=None, wall_s=None, deciding_return=None, fresh_return=100.0)


def test_four_of_five_seeds_pass(learning: ModuleType, run: Run) -> None:
    document = learning.report(
        "x", 50_000, [run(env_steps=n, wall_s=n / 1000) for n in (9, 1, 5, 3)] + [unsolved(run)]
    )

    assert (document["solved"], document["passed"]) == (4, True)
    assert document["median_env_steps"] == 5
    assert document["median_return"] == 490.0
    assert document["env_steps"] == [9, 1, 5, 3, None]


def test_a_preset_that_has_to_be_fast_passes_only_when_it_is(
    learning: ModuleType, run: Run
) -> None:
    for wall_s, passed in ((20.0, True), (20.1, False)):
        document = learning.report("cartpole-dqn", 50_000, [run(wall_s=wall_s)])
        assert document["passed"] is passed


def test_a_control_passes_when_no_seed_learns(learning: ModuleType, run: Run) -> None:
    failed = unsolved(run)
    assert not learning.report("x", 1, [failed, failed], fails_under=100.0)["passed"]
    assert learning.report("x", 1, [failed, failed], fails_under=100.1)["passed"]


def test_three_of_five_do_not(learning: ModuleType, run: Run) -> None:
    assert not learning.report("x", 1, [run(env_steps=1)] * 3 + [unsolved(run)] * 2)["passed"]


def test_when_most_seeds_fail_there_is_no_median_of_env_steps(
    learning: ModuleType, run: Run
) -> None:
    document = learning.report("x", 50_000, [run(), unsolved(run), unsolved(run)])

    assert document["median_env_steps"] is None
    assert document["median_wall_s"] is None
    assert document["median_return"] == 100.0
    json.dumps(document, allow_nan=False)


@pytest.mark.parametrize("spoilt", [{"fresh_return": 474.9}, {"env_steps": 50_001}])
def test_a_level_that_is_not_held_or_came_too_late_does_not_count(
    learning: ModuleType, run: Run, spoilt: dict[str, float]
) -> None:
    assert learning.report("x", 50_000, [run()])["passed"]
    assert not learning.report("x", 50_000, [run(**spoilt)])["passed"]


def test_the_ratio_is_that_of_the_medians_inside_its_interval(
    learning: ModuleType, run: Run
) -> None:
    distributed = [run(env_steps=n) for n in (120, 130, 110, 140, 100)]
    serial = [run(env_steps=n) for n in (100, 90, 110, 105, 95)]

    compared = learning.compare(distributed, serial)

    assert compared["ratio"] == 1.2
    low, high = compared["interval"]
    # The lowest and highest medians that resamples can have are 100/110 and 140/90.
    assert 100 / 110 <= low < 1.2 < high <= 1.556
    assert compared["passed"]
    assert compared == learning.compare(distributed, serial)


def test_twice_the_env_steps_are_too_many(learning: ModuleType, run: Run) -> None:
    compared = learning.compare([run(env_steps=200)] * 3, [run(env_steps=100)] * 3)

    assert (compared["ratio"], compared["interval"]) == (2.0, [2.0, 2.0])
    assert not compared["passed"]


def test_sides_that_never_learn_have_no_ratio(learning: ModuleType, run: Run) -> None:
    compared = learning.compare([unsolved(run)] * 3, [unsolved(run)] * 3)

    assert (compared["ratio"], compared["interval"]) == (None, [None, None])
    assert not compared["passed"]


def test_every_seed_is_trained_with_the_settings_given(
    learning: ModuleType, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trained: list[tuple[int, list[str], object]] = []

    def train(experiment: Any, command: list[str], runs: Path, settings: object) -> Any:
        assert experiment.algorithm.gamma == 0.9
        trained.append((experiment.seed, command, settings))
        return run(seed=experiment.seed)

    monkeypatch.setattr(learning, "train", train)
    changes = ["algorithm.gamma=0.9", "stop.max_env_steps=1000"]

    runs = learning.measure("cartpole-impala", [3, 4], changes, tmp_path, lambda seed: f"at {seed}")

    assert [r.seed for r in runs] == [3, 4]
    options = ["--set", "algorithm.gamma=0.9", "--set", "stop.max_env_steps=1000"]
    assert trained == [
        (3, ["cartpole-impala", "--seed", "3", *options], "at 3"),
        (4, ["cartpole-impala", "--seed", "4", *options], "at 4"),
    ]


def test_an_experiment_without_an_end_is_refused(learning: ModuleType) -> None:
    with pytest.raises(ConfigError, match=r"--set stop\.max_env_steps=N"):
        learning.limited("cartpole-impala", [], 1)


def test_compare_before_a_name_trains_both_ways(learning: ModuleType) -> None:
    options = learning.parse(["compare", "cartpole-dqn", "--seeds", "10"])

    assert (options.compare, options.name, options.seeds) == (True, "cartpole-dqn", 10)
    assert not learning.parse(["cartpole-dqn"]).compare


@pytest.mark.parametrize(
    "arguments",
    [["contrast", "x"], ["compare", "x", "y"], ["x", "--seeds", "0"], ["compare", "x", "--serial"]],
)
def test_command_lines_that_mean_nothing_are_refused(
    learning: ModuleType, arguments: list[str]
) -> None:
    with pytest.raises(SystemExit):
        learning.parse(arguments)


@pytest.mark.parametrize(
    ("means", "wall_s"),
    [
        pytest.param([300.0, 476.0, 500.0], 2.0, id="the first that ends the run"),
        pytest.param([460.0, 470.0, 440.0], 2.0, id="the best when none does"),
        pytest.param([300.0, 449.0], None, id="none at the level"),
        pytest.param([], None, id="none at all"),
    ],
)
def test_which_evaluation_counts(
    tmp_path: Path, means: Sequence[float], wall_s: float | None
) -> None:
    import seed_runs

    lines = [{"time_s": at, "return_mean": mean} for at, mean in enumerate(means, 1)]
    (tmp_path / "evaluations.jsonl").write_text("".join(f"{json.dumps(x)}\n" for x in lines))

    found = seed_runs.decided(tmp_path, 475.0, level=450.0)
    assert (found and found["time_s"]) == wall_s


@pytest.mark.integration
def test_one_seed_is_trained_through_rabbitmq_and_evaluated_again(tmp_path: Path) -> None:
    import seed_runs

    # No greedy game of CartPole ends before tick 8, so the first evaluation decides.
    changes = ["stop.max_env_steps=10000", "stop.at_return=8"]
    experiment = configured(find_document("cartpole-impala")[0], changes, seed=5)
    command = ["cartpole-impala", "--seed", "5", "--set", changes[0], "--set", changes[1]]

    with seed_runs.places(tmp_path) as place:
        run = seed_runs.train(experiment, command, tmp_path / "runs", place(5))

    assert run.is_solved
    assert run.env_steps is not None
    assert run.wall_s is not None
    assert (run.seed, run.level) == (5, 8.0)
    assert 0 < run.env_steps <= 12_000
    assert run.wall_s > 0
    assert (run.path / "outcome.json").is_file()


@pytest.mark.parametrize(
    ("preset", "given", "limit"),
    [
        ("cartpole-impala", [], 2_000_000),
        ("cartpole-impala", ["stop.max_env_steps=7"], 7),
        ("cartpole-dqn", [], 50_000),
    ],
)
def test_every_run_comes_to_an_end(
    learning: ModuleType, preset: str, given: list[str], limit: int
) -> None:
    assignments = learning.budgeted(preset, given)
    experiment = learning.limited(preset, assignments, 1)
    assert experiment.stop.max_env_steps == limit
