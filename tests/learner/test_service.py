"""A learner from its start to its end, on a real server, with nobody playing."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from tinyqueue.data.spaces import Leaf
from tinyqueue.envs.describe import EnvironmentInfo
from tinyqueue.errors import LeaseHeldError, LeaseLostError, ServiceUnreachableError
from tinyqueue.learner.service import LearnerService
from tinyqueue.learner.surroundings import Surroundings
from tinyqueue.local.redis_server import RedisServer
from tinyqueue.run.run_directory import RunDirectory
from tinyqueue.settings import Settings
from tinyqueue.store.client import connect
from tinyqueue.store.keys import Keys
from tinyqueue.store.lease import LearnerLease, read_lease
from tinyqueue.store.specs import SpecStore
from tinyqueue.store.status import StatusBoard
from tinyqueue.store.weights import WeightStore

pytestmark = pytest.mark.integration

INFO = EnvironmentInfo(
    "CartPole-v1", {"": Leaf("float32", (4,))}, {"": Leaf("uint8", (), 2)}, 475.0, 500
)


class Tasks:
    """Counts what players are asked for."""

    def __init__(self):
        self.played, self.closed = [], False

    def play(self, task_id, **what):
        assert not self.closed
        self.played.append(what)

    def close(self):
        self.closed = True


@pytest.fixture
def server(tmp_path):
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def client(server):
    with connect(server.redis_url) as client:
        yield client


@pytest.fixture
def tasks():
    return Tasks()


@pytest.fixture
def make_service(server, tasks, view, tmp_path, make_experiment_of):
    runs = []

    def make(broker=server):
        experiment = make_experiment_of(session={"ticks": 4, "slots": 2}, model={"hidden": [4]})
        runs.append(RunDirectory.create(tmp_path / "runs", experiment.document(), {}))
        settings = Settings(broker_url=broker.broker_url, redis_url=server.redis_url)
        play_here: Any = None  # no games are played in this process
        around = Surroundings(settings, lambda: (experiment, INFO), tasks, play_here, view)
        return LearnerService(experiment, runs[-1], around), runs[-1]

    yield make
    for run in runs:
        run.close()


def eventually(condition, within_s=60.0):
    deadline_s = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return condition()


def test_a_learner_publishes_asks_for_players_and_ends_when_told(make_service, client, tasks, view):
    service, run = make_service()
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(service.run()))
    thread.start()

    assert eventually(lambda: len(tasks.played) == 2)
    lease = read_lease(client, "pole")
    spec = SpecStore(client).load("pole")
    assert (lease.run, lease.epoch) == (run.run_id, 1)
    assert (spec.run, spec.ticks, spec.slots) == (run.run_id, 4, 2)
    assert WeightStore(client, "pole").fetch().graph_sha256 == spec.graph_sha256
    assert {task["spec_version"] for task in tasks.played} == {spec.version}
    service.stop()
    thread.join(30)

    assert tasks.closed
    (outcome,) = outcomes
    assert (outcome.ended, outcome.updates, outcome.threshold) == ("stopped", 0, 475.0)
    assert read_lease(client, "pole") is None
    status = StatusBoard(client).read("pole")
    assert status is not None
    assert (status["run"], status["env_steps"], status["return_mean"]) == (run.run_id, 0, None)
    assert status["count"]["attempted"] == 0
    assert view.header.experiment == "pole"
    assert len(list((run.path / "checkpoints").iterdir())) == 1


def test_a_learner_that_is_stopped_before_it_has_begun_keeps_no_run(make_service, client, tasks):
    service, run = make_service()
    service.interrupt()

    with pytest.raises(KeyboardInterrupt):
        service.run()

    assert (run.epoch, tasks.played, read_lease(client, "pole")) == (0, [], None)


def test_a_broker_that_is_away_is_found_before_anything_is_built(
    server, tasks, view, make_experiment_of, tmp_path
):
    def prepared():
        raise AssertionError("the experiment was prepared")

    experiment = make_experiment_of()
    settings = Settings(broker_url="redis://localhost:1", redis_url=server.redis_url)
    play_here: Any = None
    around = Surroundings(settings, prepared, tasks, play_here, view)
    run = RunDirectory.create(tmp_path / "runs", experiment.document(), {})

    with pytest.raises(ServiceUnreachableError, match="the broker at redis://localhost:1"):
        LearnerService(experiment, run, around)
    run.close()


def test_a_broker_that_goes_away_and_returns_is_told_once_each(make_service, view, tmp_path):
    with RedisServer(tmp_path / "broker") as broker:
        service, _ = make_service(broker)
        thread = threading.Thread(target=service.run)
        thread.start()
        try:
            assert eventually(lambda: view.snapshots), "it waits for session batches"
            view.messages.clear()
            broker.stop()
            stopped_s = time.monotonic()
            assert eventually(lambda: view.messages, within_s=10)
            took_s = time.monotonic() - stopped_s
            broker.start()
            assert eventually(lambda: len(view.messages) > 1)
        finally:
            service.stop()
            thread.join(30)

    away, back = view.messages
    at = f"the broker at {broker.socket_path}"
    assert away.startswith(f"{at} cannot be reached (")
    assert away.endswith("); experience waits with the players")
    assert back.startswith(f"{at} can be reached again after ")
    assert took_s < 6


def test_a_second_learner_is_refused_with_the_name_of_the_first(make_service, client, tasks):
    first = LearnerLease(client, "pole", "f" * 32, "node-a run runs/pole/1")
    first.acquire(3)
    service, run = make_service()

    with pytest.raises(LeaseHeldError, match="node-a run runs/pole/1"):
        service.run()

    assert tasks.played == []
    assert not run.path.exists()
    assert read_lease(client, "pole").epoch == 4
    first.release()


@pytest.fixture
def running(make_service, view):
    """A learner in a thread, whose lease lasts a second; gives it, its run, and how it ended."""
    service, run = make_service()
    service._lease._ttl_s = 1.0
    ends = []

    def work():
        try:
            ends.append(service.run())
        except Exception as error:
            ends.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert eventually(lambda: view.snapshots), "it waits for session batches"
    yield service, run, ends
    service.stop()
    thread.join(60)
    assert not thread.is_alive()


def test_a_learner_whose_redis_is_silent_rests_and_goes_on_under_the_same_epoch(
    running, client, view
):
    _, run, ends = running
    published = WeightStore(client, "pole").head()

    client.client_pause(7000)
    assert eventually(lambda: any("nothing is accepted or published" in m for m in view.messages))
    assert eventually(lambda: any("Redis works again" in m for m in view.messages))
    client.flushall()

    assert eventually(lambda: WeightStore(client, "pole").head() == published)
    assert eventually(lambda: read_lease(client, "pole") is not None)
    assert read_lease(client, "pole").epoch == run.epoch == 1
    assert ends == []


def test_a_learner_that_is_replaced_ends_and_has_saved(running, client):
    _, run, ends = running
    client.delete(Keys("pole").lease)
    successor = LearnerLease(client, "pole", "f" * 32, "a successor")
    successor.acquire(0)

    assert eventually(lambda: ends)
    successor.release()

    (error,) = ends
    assert isinstance(error, LeaseLostError)
    assert "taken over by a successor" in str(error)
    assert len(list((run.path / "checkpoints").iterdir())) == 1


def test_a_learner_that_is_stopped_while_redis_is_gone_saves(running, server, view):
    service, run, ends = running
    server.stop()
    assert eventually(lambda: any("nothing is accepted or published" in m for m in view.messages))
    assert ends == []

    service.stop()
    assert eventually(lambda: ends)

    assert ends[0].ended == "stopped"
    assert len(list((run.path / "checkpoints").iterdir())) == 1


def test_a_learner_takes_an_epoch_above_all_before_it(make_service, client):
    earlier = LearnerLease(client, "pole", "f" * 32, "an earlier learner")
    earlier.acquire(41)
    earlier.release()
    service, run = make_service()
    thread = threading.Thread(target=service.run, daemon=True)
    thread.start()
    assert eventually(lambda: WeightStore(client, "pole").head() >= 0)
    service.stop()
    thread.join(30)

    assert run.epoch == 43
    assert WeightStore(client, "pole").fetch().epoch == 43
