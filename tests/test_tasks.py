"""The Celery tasks: thin, and put aside when they end their workers."""

from types import SimpleNamespace

import pytest
from celery.exceptions import Reject
from structlog.testing import capture_logs

from tinyqueue import tasks
from tinyqueue.bus.worker_request import process_ended
from tinyqueue.player.failing import FailureTeller
from tinyqueue.player.player import Player
from tinyqueue.settings import player_name

PLAY = {"experiment": "pole", "run": "r", "spec_version": 1, "budget_s": 0.1}
EVALUATE = {
    "request": "ask",
    "experiment": "pole",
    "run": "r",
    "version": 1,
    "episodes": 1,
    "slots": 1,
    "seed": 1,
}


@pytest.fixture(autouse=True)
def services(monkeypatch, redis_url):
    monkeypatch.setenv("TINYQUEUE_BROKER_URL", "redis://localhost:1")
    monkeypatch.setenv("TINYQUEUE_REDIS_URL", redis_url)
    tasks._player.cache_clear()
    tasks._evaluator.cache_clear()
    yield
    tasks._player.cache_clear()
    tasks._evaluator.cache_clear()


@pytest.fixture
def deliver():
    """Runs a task as a worker does; returns what it logged."""

    def run(task, kwargs, *, redelivered=False, task_id="a-task"):
        task.push_request(id=task_id, delivery_info={"redelivered": redelivered})
        try:
            with capture_logs() as logs:
                task.run(**kwargs)
        finally:
            task.pop_request()
        return logs

    return run


def test_a_task_for_an_experiment_nobody_runs_ends_and_says_so(deliver):
    (line,) = deliver(tasks.play_episode, PLAY)

    assert (line["event"], line["reason"], line["task"]) == ("task ended", "no learner", "a-task")


def test_an_evaluation_nobody_wants_ends_and_says_so(deliver):
    (line,) = deliver(tasks.evaluate_policy, EVALUATE)

    assert line["event"] == "evaluation ended"


@pytest.mark.parametrize(
    ("task", "kwargs", "event"),
    [
        (tasks.play_episode, PLAY, "play task refused"),
        (tasks.evaluate_policy, EVALUATE, "evaluation refused"),
    ],
)
def test_what_cannot_be_played_is_refused_in_a_sentence(deliver, task, kwargs, event):
    logs = deliver(task, {**kwargs, "experiment": "Not a name"})

    assert logs[-1]["event"] == event
    assert "cannot name an experiment" in logs[-1]["error"]


def test_a_learner_is_told_of_an_evaluation_that_cannot_be_played(deliver, monkeypatch):
    told = []
    monkeypatch.setattr(FailureTeller, "tell", lambda self, failure: told.append(failure))
    monkeypatch.setenv("TINYQUEUE_REDIS_URL", "redis://:secret@localhost:1/0")

    deliver(tasks.evaluate_policy, EVALUATE)

    (failure,) = told
    assert (failure.task, failure.experiment, failure.run) == ("ask", "pole", "r")
    assert "redis://:***@localhost:1" in failure.text


def test_a_store_that_is_away_refuses_the_task(deliver, monkeypatch):
    monkeypatch.setenv("TINYQUEUE_REDIS_URL", "redis://:secret@localhost:1/0")

    for redelivered in (False, True):
        logs = deliver(tasks.play_episode, PLAY, redelivered=redelivered)

        assert logs[-1]["event"] == "play task refused"
        assert "redis://:***@localhost:1" in logs[-1]["error"]


@pytest.mark.parametrize(
    ("task", "kwargs"), [(tasks.play_episode, PLAY), (tasks.evaluate_policy, EVALUATE)]
)
def test_a_task_that_keeps_coming_back_is_put_aside(deliver, task, kwargs):
    deliver(task, kwargs)
    for _ in range(2):
        deliver(task, kwargs, redelivered=True)

    with pytest.raises(Reject, match="too often"):
        deliver(task, kwargs, redelivered=True)

    # Another task is not to blame.
    deliver(task, kwargs, redelivered=True, task_id="another")


def test_a_learner_is_told_of_a_task_that_comes_back_and_when_it_is_over(deliver, monkeypatch):
    told = []
    monkeypatch.setattr(Player, "lost", lambda self, task, *, ended: told.append(ended))
    deliver(tasks.play_episode, PLAY)
    for _ in range(2):
        deliver(tasks.play_episode, PLAY, redelivered=True)
    with pytest.raises(Reject):
        deliver(tasks.play_episode, PLAY, redelivered=True)

    assert told == [False, False, True]


def test_one_player_serves_all_tasks_of_a_process(deliver):
    deliver(tasks.play_episode, PLAY)
    first = tasks._player(1)

    assert tasks._player(1) is first
    assert tasks._player(2) is not first


@pytest.mark.parametrize(
    ("task", "kwargs"), [(tasks.play_episode, PLAY), (tasks.evaluate_policy, EVALUATE)]
)
def test_the_next_task_tells_the_learner_of_a_process_that_ended_once(
    deliver, monkeypatch, task, kwargs
):
    told = []
    monkeypatch.setattr(FailureTeller, "tell", lambda self, failure: told.append(failure))
    request = SimpleNamespace(id="another", kwargs=kwargs, worker_pid=17)
    process_ended.send(sender=task, request=request, exit_code=7)

    for _ in range(2):
        deliver(task, kwargs)

    (failure,) = told
    assert (failure.task, failure.experiment, failure.run) == ("another", "pole", "r")
    assert failure.player == player_name(17)
    assert "exit code 7" in failure.text
