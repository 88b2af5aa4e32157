"""What a task looks like to Celery."""

import pytest
from amqp.exceptions import MessageNacked
from kombu.exceptions import OperationalError

from tinyqueue.bus.task_sender import TaskSender
from tinyqueue.bus.topology import tasks_exchange
from tinyqueue.errors import ServiceUnreachableError


class App:
    """Takes tasks, or raises ``error``."""

    def __init__(self, error=None):
        self.error, self.sent = error, []

    def send_task(self, name, *, producer, **options):
        assert producer == "a producer"
        if self.error:
            raise self.error
        self.sent.append((name, options))


class Connection:
    """Counts the sends that failed on it."""

    was_returned = False

    def __init__(self):
        self.failures = 0

    def producer(self):
        return "a producer"

    def failed(self):
        self.failures += 1


def sender_of(app, connection, *words):
    return TaskSender(app, connection, *words)


def send_play(app, budget_s=2.0, connection=None, limit_s=30.0):
    sender_of(app, connection or Connection(), "play.gpu").play(
        "t1", experiment="pole", run="r", spec_version=7, budget_s=budget_s, limit_s=limit_s
    )


def test_a_play_task_goes_to_the_experiments_queue_and_is_void_in_time():
    app = App()

    send_play(app)

    ((name, options),) = app.sent
    assert name == "play-episode"
    assert options["kwargs"] == {
        "experiment": "pole",
        "run": "r",
        "spec_version": 7,
        "budget_s": 2.0,
    }
    assert (options["task_id"], options["queue"], options["routing_key"]) == (
        "t1",
        "play.gpu",
        "play.gpu",
    )
    assert options["exchange"] == "tinyqueue.tasks"
    # Counted by the broker: a worker whose clock is ahead would throw away what has `expires`.
    assert options["expiration"] == 600.0
    assert "expires" not in options


@pytest.mark.parametrize(("limit_s", "soft", "hard"), [(30.0, 30, 60), (100.5, 101, 131)])
def test_a_task_is_ended_at_its_limit_and_its_process_after_that(limit_s, soft, hard):
    app = App()

    send_play(app, limit_s=limit_s)

    ((_, options),) = app.sent
    assert (options["soft_time_limit"], options["time_limit"]) == (soft, hard)


def test_an_evaluation_goes_to_the_queue_of_evaluations():
    app = App()
    what = {"experiment": "pole", "run": "r", "version": 5, "episodes": 9, "slots": 3, "seed": 1}

    sender_of(app, Connection(), "play").evaluate("ask", **what)

    ((name, options),) = app.sent
    assert (name, options["queue"], options["task_id"]) == ("evaluate-policy", "evaluate", "ask")
    assert options["kwargs"] == {"request": "ask", **what}


@pytest.mark.parametrize("error", [OperationalError("gone"), ConnectionResetError("reset")])
def test_a_broker_that_does_not_take_it_is_said(error):
    connection = Connection()
    with pytest.raises(ServiceUnreachableError, match="play-episode"):
        send_play(App(error), connection=connection)
    assert connection.failures == 1


def test_a_full_queue_is_said_and_the_connection_stays():
    connection = Connection()
    with pytest.raises(ServiceUnreachableError, match=r"queue 'play.gpu' is full\. .*purge it"):
        send_play(App(MessageNacked()), connection=connection)
    assert connection.failures == 0


def test_on_redis_a_task_needs_no_exchange_which_an_emptied_server_would_have_lost():
    app = App()
    sender = sender_of(app, Connection(), "play", tasks_exchange("redis"))

    sender.play("t1", experiment="pole", run="r", spec_version=7, budget_s=2.0)

    ((_, options),) = app.sent
    assert (options["exchange"], options["routing_key"]) == ("", "play")
    assert tasks_exchange("rabbitmq") == "tinyqueue.tasks"
