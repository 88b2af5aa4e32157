"""Evaluation tasks from the store to the bus, on a real server."""

import functools
import threading
import time
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from balancing import BALANCES, FALLS, graph, spec, version
from bus_ends import eventually

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.consumer import ExperienceConsumer
from tinyqueue.errors import ConfigError, MissingVersionError, ServiceUnreachableError
from tinyqueue.evaluation import telling, worker
from tinyqueue.evaluation.games import play_games
from tinyqueue.evaluation.telling import Telling
from tinyqueue.evaluation.worker import EvaluateTask, Evaluator
from tinyqueue.local.redis_server import RedisServer
from tinyqueue.settings import Settings
from tinyqueue.store.client import connect
from tinyqueue.store.lease import LearnerLease
from tinyqueue.store.specs import SpecStore
from tinyqueue.store.weights import WeightStore
from tinyqueue.wire.evaluation_signs import SIGN_TYPE, EvaluationSign, decode_sign
from tinyqueue.wire.evaluations import EVALUATION_TYPE, decode_evaluation


@pytest.fixture
def server(tmp_path):
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
def client(server):
    with connect(server.redis_url) as client:
        SpecStore(client).publish(spec(), graph())
        for number, weights in ((1, BALANCES), (2, FALLS)):
            WeightStore(client, "pole").publish(version(number, weights))
        yield client


@pytest.fixture
def evaluator(server, client):
    return Evaluator(Settings(broker_url=server.broker_url, redis_url=server.redis_url))


@pytest.fixture
def taken(server, client):
    """What a learner of the experiment receives: content types and messages."""
    taken = []
    lease = LearnerLease(client, "pole", spec().run, "a learner")
    lease.acquire(1)

    def take(delivery, settle):
        decode = {EVALUATION_TYPE: decode_evaluation, SIGN_TYPE: decode_sign}
        taken.append((delivery.content_type, decode[delivery.content_type](delivery.body)))
        settle(delivery, None)

    consumer = ExperienceConsumer(
        Broker(server.broker_url),
        "pole",
        SimpleNamespace(on_delivery=take, commit=lambda settled: None),
        queue_batches=2,
        prefetch=2,
    )
    consumer.start()
    yield taken
    consumer.stop(5)
    lease.release()


def of_type(content_type, taken):
    return [message for found, message in taken if found == content_type]


@pytest.fixture
def results(taken):
    """Of evaluations that came to an end."""
    return lambda: of_type(EVALUATION_TYPE, taken)


@pytest.fixture
def signs(taken):
    return lambda: of_type(SIGN_TYPE, taken)


@pytest.fixture
def untold(monkeypatch):
    """What would tell a learner."""
    tells = Mock(side_effect=AssertionError("it was told"))
    monkeypatch.setattr(worker, "Telling", tells)
    return tells


def task(number=1, run=None, episodes=6, seed=3):
    return EvaluateTask("ask", "pole", run or spec().run, number, episodes, 4, seed)


def test_the_games_of_the_named_version_reach_the_learner(evaluator, results):
    evaluator.evaluate(task(1))

    assert eventually(results)
    (result,) = results()
    assert (result.request, result.experiment, result.run) == ("ask", "pole", spec().run)
    assert result.policy_version == 1
    assert result.returns.tolist() == [500.0] * 6
    assert result.lengths.tolist() == [500] * 6
    assert result.seconds > 0


def test_the_seed_decides_the_games(evaluator, results):
    for seed in (3, 3, 4):
        evaluator.evaluate(task(2, episodes=20, seed=seed))

    assert eventually(lambda: len(results()) == 3)
    once, again, other = (result.returns for result in results())
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)
    assert once.max() < 15


def test_the_learner_is_told_before_the_games_and_while_they_last(
    evaluator, taken, signs, results, monkeypatch
):
    def slow_games(*args, **kwargs):
        assert eventually(lambda: len(signs()) >= 3)
        return play_games(*args, **kwargs)

    monkeypatch.setattr(worker, "play_games", slow_games)
    monkeypatch.setattr(worker, "Telling", functools.partial(Telling, every_s=0.05))

    evaluator.evaluate(task(1))

    assert eventually(results)
    (result,) = results()
    assert set(signs()) == {EvaluationSign("ask", "pole", spec().run, result.player)}
    # Nothing is told of games that are over: their thread has ended.
    assert not [thread for thread in threading.enumerate() if thread.name == "telling"]


def test_games_that_hang_are_told_of_no_more_until_they_move(
    evaluator, signs, results, monkeypatch
):
    def told(over_s):
        before = len(signs())
        time.sleep(over_s)
        return len(signs()) - before

    def hanging_games(*args, on_progress, **kwargs):
        # Given games that hang behind the first signs
        assert eventually(signs)
        assert eventually(lambda: told(over_s=0.2) == 0)

        # When they move again, it is told again
        before = len(signs())
        on_progress(0)
        assert eventually(lambda: len(signs()) > before)
        return play_games(*args, **kwargs)

    monkeypatch.setattr(telling, "STUCK_S", 0.3)
    monkeypatch.setattr(worker, "play_games", hanging_games)
    monkeypatch.setattr(worker, "Telling", functools.partial(Telling, every_s=0.01))

    evaluator.evaluate(task(1))

    assert eventually(results)


def test_games_that_fail_are_told_of_no_more(evaluator, taken, signs, monkeypatch):
    def no_games(*args, **kwargs):
        assert eventually(signs)
        raise ConfigError("the environment cannot be built")

    monkeypatch.setattr(worker, "play_games", no_games)
    monkeypatch.setattr(worker, "Telling", functools.partial(Telling, every_s=0.01))

    with pytest.raises(ConfigError, match="cannot be built"):
        evaluator.evaluate(task(1))

    assert not [thread for thread in threading.enumerate() if thread.name == "telling"]


@pytest.mark.parametrize("alone", ["single", "entangled"])
def test_before_games_of_what_a_process_may_have_one_of_its_others_are_closed(
    server, client, monkeypatch, alone
):
    environment = spec().environment.model_copy(update={alone: True})
    store = SpecStore(client)
    store.publish(spec().model_copy(update={"environment": environment}), graph(), epoch=1)
    calls: list[str] = []
    settings = Settings(broker_url=server.broker_url, redis_url=server.redis_url)
    evaluator = Evaluator(settings, make_room=lambda: calls.append("room"))

    def no_games(*args, **kwargs):
        calls.append("games")
        raise ConfigError("the environment cannot be built")

    monkeypatch.setattr(worker, "play_games", no_games)
    with pytest.raises(ConfigError):
        evaluator.evaluate(task(1))

    assert calls == ["room", "games"]


def test_a_run_nobody_trains_is_not_evaluated(evaluator, untold):
    evaluator.evaluate(task(run="f" * 32))
    evaluator.evaluate(EvaluateTask("ask", "unheard-of", "r", 1, 1, 1, 1))

    untold.assert_not_called()


def test_a_version_that_is_gone_is_an_error_and_is_not_told_of(evaluator, untold):
    with pytest.raises(MissingVersionError, match="version 9"):
        evaluator.evaluate(task(9))

    untold.assert_not_called()


def test_a_result_nobody_takes_is_an_error(evaluator, monkeypatch):
    monkeypatch.setattr(worker, "PATIENCE_S", 0.1)

    with pytest.raises(ServiceUnreachableError, match=r"no learner.*plays these games itself"):
        evaluator.evaluate(task(2, episodes=1))
