"""What is refused before anything is started, and who ends training. The rest needs servers."""

import os
import threading
from concurrent.futures import Future
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from tinyqueue.catalogue import make_experiment
from tinyqueue.data.spaces import Leaf
from tinyqueue.errors import ConfigError, UnknownNameError
from tinyqueue.local import choices
from tinyqueue.local import train as train_module
from tinyqueue.local.train import Where, train
from tinyqueue.run.run_directory import RunDirectory
from tinyqueue.settings import Settings

PUSHES = {"": Leaf("uint8", (), n=2)}
SEEN = {"": Leaf("float32", (4,))}
NO_VIEW: Any = None  # training is refused before a view is used


@pytest.fixture
def new_run(tmp_path):
    run = RunDirectory.create(tmp_path, {"name": "pole"}, {})
    yield run
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
    for trial, said in (
        (SimpleNamespace(single=single, entangled=False), "the port is in use"),
        (SimpleNamespace(single="", entangled=bool(single)), "they share state"),
    ):
        info: Any = SimpleNamespace(id="CartPole-v1", reward_threshold=threshold, trial=trial)
        refused = pytest.raises(ConfigError, match=rf"{said}.*Leave out --serial")
        with refused if is_refused else nullcontext():
            train_module._require_serial(experiment, info)


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
    monkeypatch.setattr(choices, "bytecode_advice", Mock(side_effect=stopped_by))

    with pytest.raises(type(stopped_by)):
        train(experiment, new_run, Settings(), NO_VIEW, Where())

    assert not new_run.path.exists()


def test_a_failure_of_tinyqueue_itself_leaves_its_log(new_run, monkeypatch):
    experiment = make_experiment({"environment": {"id": "CartPole-v1"}})
    monkeypatch.setattr(choices, "bytecode_advice", Mock(side_effect=ZeroDivisionError))

    with pytest.raises(ZeroDivisionError):
        train(experiment, new_run, Settings(), NO_VIEW, Where())

    assert new_run.path.exists()


def test_players_that_cannot_play_are_not_told_of(new_run, monkeypatch):
    experiment, said = make_experiment({"environment": {"id": "CartPole-v1"}}), []
    found: Future[object] = Future()
    found.set_exception(ConfigError("it cannot be built here"))
    monkeypatch.setattr(choices, "bytecode_advice", lambda: "")
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
    monkeypatch.setattr(choices, "bytecode_advice", lambda: "")
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
    monkeypatch.setattr(choices, "bytecode_advice", lambda: "")
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
