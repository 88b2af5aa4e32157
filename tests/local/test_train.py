"""What is refused before anything is started, and who ends training. The rest needs servers."""

import os
import threading
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from tinyqueue.catalogue import make_experiment
from tinyqueue.data.spaces import Leaf
from tinyqueue.errors import ConfigError, UnknownNameError
from tinyqueue.local import train as train_module
from tinyqueue.local.fitting import Fitted
from tinyqueue.local.train import Where, train
from tinyqueue.run.run_directory import RunDirectory
from tinyqueue.settings import Settings

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
NO_VIEW: Any = None  # training is refused before a view is used


@pytest.fixture
def new_run(tmp_path):
    run = RunDirectory.create(tmp_path, {"name": "pole"}, {})
    yield run
    run.close()


def test_what_is_dropped_unasked_is_said_and_kept_with_the_run(tmp_path):
    experiment = make_experiment({"environment": {"id": "CartPole-v1", "drop": ["name"]}})
    run = RunDirectory.create(tmp_path, experiment.document(), {})
    said = []
    view: Any = SimpleNamespace(message=said.append)

    for found in (("name",), ("name", "mission")):
        info: Any = SimpleNamespace(drop=found, action_space=PUSHES, observation_space=SEEN)
        train_module._as_found(experiment, info, run, view)

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
    found = train_module._with_algorithm(experiment, info_of(REALS), run, view)

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

    found = train_module._with_algorithm(experiment, info_of(actions), run, NO_VIEW)

    assert found is experiment
    assert run.path == tmp_path / "arm-impala" / "1"
    run.close()


@pytest.mark.parametrize(
    ("slots", "threshold", "single", "is_refused"),
    [
        (1, 475.0, "the port is in use", True),
        (2, None, "the port is in use", True),
        (1, None, "the port is in use", False),
        (2, 475.0, "", False),
    ],
)
def test_what_exists_once_is_not_played_beside_its_games(slots, threshold, single, is_refused):
    experiment = make_experiment(
        {
            "environment": {"id": "CartPole-v1"},
            "session": {"slots": slots},
            "stop": {"max_env_steps": 1000},
        }
    )
    trial = SimpleNamespace(single=single)
    info: Any = SimpleNamespace(id="CartPole-v1", reward_threshold=threshold, trial=trial)

    refused = pytest.raises(ConfigError, match=r"the port is in use.*Leave out --serial")
    with refused if is_refused else nullcontext():
        train_module._require_serial(experiment, info)


def test_what_exists_once_is_told_and_kept_with_the_run(tmp_path, monkeypatch):
    # Given a trial in which no second environment could be built
    experiment = make_experiment({"environment": {"id": "CartPole-v1"}})
    run = RunDirectory.create(tmp_path, experiment.document(), {})
    said = []
    chosen = Fitted(experiment, remarks=("slow",), single="the port is in use")
    monkeypatch.setattr(train_module, "fitted", lambda *_: chosen)
    info: Any = SimpleNamespace(
        id="CartPole-v1", drop=(), action_space=PUSHES, observation_space=SEEN
    )

    # When what was left open is chosen
    view = SimpleNamespace(message=said.append)
    found = train_module._fitted(experiment, info, 2, run, view)

    # Then a resumed run has it as well
    assert said[0] == "slow"
    assert "one player" in said[1]
    assert found.environment.single
    assert make_experiment(run.document()).document() == found.document()
    run.close()


def test_training_ends_when_all_players_have_ended():
    stopped = threading.Event()
    players: Any = SimpleNamespace(ended="out of memory")
    service: Any = SimpleNamespace(stop=stopped.set)

    with train_module._watching(players, service):
        assert stopped.wait(5)


def test_training_goes_on_while_players_play():
    stopped = threading.Event()
    players: Any = SimpleNamespace(ended=None)
    service: Any = SimpleNamespace(stop=stopped.set)

    with train_module._watching(players, service):
        assert not stopped.wait(1.2)


@pytest.mark.parametrize("stopped_by", [UnknownNameError("queue", "a", "b"), KeyboardInterrupt()])
def test_what_ends_before_training_begins_leaves_no_run(new_run, monkeypatch, stopped_by):
    experiment = make_experiment({"environment": {"id": "CartPole-v1"}})
    monkeypatch.setattr(train_module, "bytecode_advice", Mock(side_effect=stopped_by))

    with pytest.raises(type(stopped_by)):
        train(experiment, new_run, Settings(), NO_VIEW, Where())

    assert not new_run.path.exists()


def test_a_failure_of_tinyqueue_itself_leaves_its_log(new_run, monkeypatch):
    experiment = make_experiment({"environment": {"id": "CartPole-v1"}})
    monkeypatch.setattr(train_module, "bytecode_advice", Mock(side_effect=ZeroDivisionError))

    with pytest.raises(ZeroDivisionError):
        train(experiment, new_run, Settings(), NO_VIEW, Where())

    assert new_run.path.exists()


def test_players_that_cannot_play_are_not_told_of(new_run, monkeypatch):
    experiment, said = make_experiment({"environment": {"id": "CartPole-v1"}}), []
    found: Future[object] = Future()
    found.set_exception(ConfigError("it cannot be built here"))
    monkeypatch.setattr(train_module, "bytecode_advice", lambda: "")
    monkeypatch.setattr(train_module, "_described", lambda *_: nullcontext(found))
    services = SimpleNamespace(settings=Settings())
    monkeypatch.setattr(train_module, "local_services", lambda *_: nullcontext(services))
    monkeypatch.setattr(train_module, "LocalPlayers", lambda *_: nullcontext())
    monkeypatch.setattr(train_module, "make_learner", lambda *words, **_: words[4]())

    with pytest.raises(ConfigError, match="cannot be built"):
        train(experiment, new_run, Settings(), SimpleNamespace(message=said.append), Where())

    assert said == []


@pytest.mark.parametrize("players", [2, 0])
def test_players_that_start_here_are_told_with_their_log(new_run, monkeypatch, players):
    # Services need not wait for an environment that does not decide by what it is trained.
    tables = {"environment": {"id": "CartPole-v1"}, "algorithm": {"name": "impala"}}
    experiment, said = make_experiment(tables), []
    services = SimpleNamespace(settings=Settings())
    monkeypatch.setattr(train_module, "bytecode_advice", lambda: "")
    found: Future[object] = Future()
    monkeypatch.setattr(train_module, "_described", lambda *_: nullcontext(found))
    monkeypatch.setattr(train_module, "local_services", lambda *_: nullcontext(services))
    monkeypatch.setattr(train_module, "LocalPlayers", lambda *_: nullcontext())

    def learn(experiment, run, settings, view, environment, players_log):
        # Nothing is told of players before it is known what they play.
        assert said == []
        found.set_result(info)
        assert environment() == (experiment, info)
        raise KeyboardInterrupt

    info, make_learner = (
        SimpleNamespace(drop=(), trial=None, action_space=PUSHES, observation_space=SEEN),
        Mock(side_effect=learn),
    )
    monkeypatch.setattr(train_module, "make_learner", make_learner)
    view = SimpleNamespace(message=said.append)

    with pytest.raises(KeyboardInterrupt):
        train(experiment, new_run, Settings(), view, Where(players=players))

    log = new_run.path / "players.log"
    told = f"players and TensorFlow are starting; the players' log is {log}"
    assert said == ([told] if players else [])
    assert make_learner.call_args.kwargs["players_log"] == (log if players else None)


@pytest.mark.parametrize(
    ("services", "players", "evaluates"),
    [("embedded", 1, False), ("embedded", 2, True), ("configured", 1, True)],
)
def test_a_single_player_is_not_kept_from_playing_by_games_that_decide(
    new_run, monkeypatch, services, players, evaluates
):
    # Given players of which somebody else may, or may not, be there to evaluate
    experiment = make_experiment({"environment": {"id": "CartPole-v1"}})
    found = SimpleNamespace(settings=Settings())
    here = Mock(return_value=nullcontext())
    described: Future[object] = Future()
    described.set_result(
        SimpleNamespace(drop=(), trial=None, action_space=PUSHES, observation_space=SEEN)
    )
    monkeypatch.setattr(train_module, "_described", lambda *_: nullcontext(described))
    monkeypatch.setattr(train_module, "local_services", lambda *_: nullcontext(found))
    monkeypatch.setattr(train_module, "LocalPlayers", here)
    learned = []

    def learn(*words, **_):
        learned.append(words[4]()[0])
        raise KeyboardInterrupt

    monkeypatch.setattr(train_module, "make_learner", learn)

    # When training begins
    with pytest.raises(KeyboardInterrupt):
        train(experiment, new_run, Settings(), Mock(), Where(services, players))

    # Then the learner plays these games itself, or the players do
    assert here.call_args.args[2] == (("play", "evaluate") if evaluates else ("play",))
    waits_s = learned[0].evaluation.here_after_s
    assert waits_s == (experiment.evaluation.here_after_s if evaluates else 0)


def test_settings_that_play_more_slowly_are_told_before_anything_starts(new_run, monkeypatch):
    game = {"id": "ALE/Pong-v5", "atari": {"crop": [34, 16, 0, 0]}}
    experiment, said = make_experiment({"environment": game, "stop": {"at_return": 18}}), []
    monkeypatch.setattr(train_module, "bytecode_advice", lambda: "")
    monkeypatch.setattr(train_module, "_described", Mock(side_effect=KeyboardInterrupt))

    with pytest.raises(KeyboardInterrupt):
        train(experiment, new_run, Settings(), SimpleNamespace(message=said.append), Where())

    (line,) = said
    assert "about half as fast" in line
    assert line.endswith("which lacks environment.atari.crop")


def test_an_unknown_environment_starts_nothing(new_run):
    experiment = make_experiment({"environment": {"id": "CartPool-v1"}})
    before = set(os.listdir("/proc/self/fd"))

    with pytest.raises(UnknownNameError, match="did you mean 'CartPole-v1'"):
        train(experiment, new_run, Settings(), NO_VIEW, Where())

    assert set(os.listdir("/proc/self/fd")) == before


def test_an_environment_that_does_not_wait_is_refused_where_updates_hold_it():
    experiment = make_experiment({"environment": {"id": "CartPole-v1", "realtime": True}})

    with pytest.raises(
        ConfigError, match=r"--serial: .*every update would hold .*realtime = false"
    ):
        train_module._check(experiment, Settings(), Where("embedded", 0, serial=True))
