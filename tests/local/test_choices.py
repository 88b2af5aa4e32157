"""What was left open is chosen from what was found, told, and kept with the run."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tinyqueue.catalogue import make_experiment
from tinyqueue.data.spaces import Leaf
from tinyqueue.local import choices
from tinyqueue.local.fitting import Fitted
from tinyqueue.run.run_directory import RunDirectory

PUSHES = {"": Leaf("uint8", (), n=2)}
REALS = {"": Leaf("float32", (2,), low=-1.0, high=1.0)}
SEEN = {"": Leaf("float32", (4,))}
OWN_MODEL = """
from dataclasses import dataclass


@dataclass(frozen=True)
class MineConfig:
    units: int = 8


def mine(observations, actions, outputs, config: MineConfig, seed): ...
"""
NO_VIEW: Any = None  # nothing is told


def test_what_is_dropped_unasked_is_said_and_kept_with_the_run(tmp_path):
    experiment = make_experiment({"environment": {"id": "CartPole-v1", "drop": ["name"]}})
    run = RunDirectory.create(tmp_path, experiment.document(), {})
    said = []
    view: Any = SimpleNamespace(message=said.append)

    for found in (("name",), ("name", "mission")):
        info: Any = SimpleNamespace(drop=found, action_space=PUSHES, observation_space=SEEN)
        choices.as_found(experiment, info, run, view)

    (notice,) = said
    assert "'mission'" in notice
    assert "name" not in notice
    kept = make_experiment(run.document())
    assert kept.environment.drop == ("name", "mission")
    run.close()


def info_of(actions: dict[str, Leaf]) -> Any:
    return SimpleNamespace(id="Arm-v0", drop=(), action_space=actions, observation_space=SEEN)


def test_an_algorithm_for_real_numbers_is_said_and_kept_with_the_run(tmp_path):
    # Given an experiment that names no algorithm, with a model of the user's own
    (tmp_path / "own.py").write_text(OWN_MODEL)
    model = {"name": f"{tmp_path / 'own.py'}:mine"}
    given = make_experiment({"environment": {"id": "Arm-v0"}, "model": model})
    run = RunDirectory.create(tmp_path / "runs", given.document(), {})
    experiment = replace(given, model_name=run.document()["model"]["name"])
    said = []
    view: Any = SimpleNamespace(message=said.append)

    # When its actions turn out to be real numbers
    found = choices.with_algorithm(experiment, info_of(REALS), run, view)

    # Then it is trained by ppo, and the run has that name, and the model from its folder
    assert said == [
        "Arm-v0: actions are real numbers: ppo with normalised observations and rewards, "
        "not impala (algorithm.name overrides this)"
    ]
    assert (found.algorithm_name, found.name) == ("ppo", "arm-ppo")
    assert run.path == tmp_path / "runs" / "arm-ppo" / "1"
    assert found.model_name == f"{run.path / 'model' / 'own.py'}:mine"
    kept = run.document()
    assert (kept["name"], kept["algorithm"]["name"]) == ("arm-ppo", "ppo")
    assert kept["model"]["name"] == found.model_name
    run.close()


@pytest.mark.parametrize(
    ("tables", "actions"),
    [({}, PUSHES), ({"algorithm": {"name": "impala"}}, REALS)],
)
def test_an_algorithm_that_was_named_or_fits_is_kept_in_silence(tmp_path, tables, actions):
    experiment = make_experiment({"environment": {"id": "Arm-v0"}, **tables})
    run = RunDirectory.create(tmp_path, experiment.document(), {})

    found = choices.with_algorithm(experiment, info_of(actions), run, NO_VIEW)

    assert found is experiment
    assert run.path == tmp_path / "arm-impala" / "1"
    run.close()


def test_what_exists_once_is_told_and_kept_with_the_run(tmp_path, monkeypatch):
    # Given a trial in which no second environment could be built
    experiment = make_experiment({"environment": {"id": "CartPole-v1"}})
    run = RunDirectory.create(tmp_path, experiment.document(), {})
    said = []
    chosen = Fitted(experiment, remarks=("slow",), single="the port is in use")
    monkeypatch.setattr(choices, "fitted", lambda *_: chosen)
    info: Any = SimpleNamespace(
        id="CartPole-v1", drop=(), action_space=PUSHES, observation_space=SEEN
    )

    # When what was left open is chosen
    view = SimpleNamespace(message=said.append)
    found = choices.with_choices(experiment, info, 2, run, view)

    # Then a resumed run has it as well
    assert said[0] == "slow"
    assert "one player" in said[1]
    assert found.environment.single
    assert make_experiment(run.document()).document() == found.document()
    run.close()


@pytest.mark.parametrize(
    ("limit", "algorithm", "said"),
    [(3000, "impala", "3 updates of 1,024"), (1000, "impala", "1 update of"),
     (10_240, "impala", ""), (3000, "dqn", ""), (None, "impala", "")],
)  # fmt: skip
def test_a_limit_that_allows_few_updates_is_told(limit: int | None, algorithm: str, said: str):
    tables = {"environment": {"id": "CartPole-v1"}, "algorithm": {"name": algorithm}}
    experiment = make_experiment({**tables, "stop": {"max_env_steps": limit} if limit else {}})

    remark = choices.few_updates(experiment)

    assert (said in remark) if said else not remark


@pytest.mark.parametrize(
    ("environment", "tables", "is_told"),
    [
        ("Pendulum-v1", {"evaluation": {"every_env_steps": 5000}}, True),
        ("Pendulum-v1", {"evaluation": {"every_env_steps": 5000}, "stop": {"at_return": 7}}, False),
        ("CartPole-v1", {"evaluation": {"every_env_steps": 5000}}, False),
        ("Pendulum-v1", {}, False),
    ],
)
def test_an_interval_of_evaluations_without_a_level_is_told(environment, tables, is_told):
    experiment = make_experiment({"environment": {"id": environment}, **tables})

    remark = choices.unused_evaluation(experiment)

    assert bool(remark) == is_told
    if is_told:
        assert "evaluation.every_env_steps has no effect: give --stop-at-return R" in remark
