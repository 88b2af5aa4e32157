"""Queue algorithms: each batch is trained on once, then accepted."""

import pytest

from tinyqueue.algorithms.base import Update
from tinyqueue.bus.messages import Delivery
from tinyqueue.experience.source import Arrival
from tinyqueue.experience.stream_source import StreamExperience
from tinyqueue.ledger.marks import Mark


class Settled(list[Mark]):
    """Marks, in the order in which they were settled."""

    def __call__(self, delivery: Delivery, mark: Mark, set_aside: str | None = None) -> None:
        self.append(mark)


@pytest.fixture
def settled():
    return Settled()


@pytest.fixture
def known():
    return set()


@pytest.fixture
def arrive(make_batch, settled):
    def make(n):
        batch = make_batch(n)
        delivery = Delivery(b"body", {"codec": "none"}, batch.header.batch_id, "type", login="rack")
        return Arrival(batch, delivery, settled)

    return make


def test_a_group_is_taken_whole_in_order_and_accepted_after_training(arrive, settled, known):
    stream = StreamExperience(3, known.__contains__, log_every_s=60.0)
    stream.offer(arrive(0))
    stream.offer(arrive(1))
    assert stream.take(timeout_s=0.01) is None

    stream.offer(arrive(2))
    taken = stream.take(timeout_s=1)
    assert taken is not None
    assert [batch.header.n for batch in taken.arrived] == [0, 1, 2]
    assert taken.experience == taken.arrived
    assert settled == []

    stream.trained(taken, Update({}))
    assert [(mark.fate, mark.env_steps) for mark in settled] == [("accepted", 8)] * 3
    assert stream.take(timeout_s=0.01) is None


def test_it_is_settled_when_the_ledger_knows_what_was_trained_on(arrive, known):
    stream = StreamExperience(1, known.__contains__, log_every_s=60.0)
    stream.offer(arrive(0))
    taken = stream.take(timeout_s=1)
    assert taken is not None
    assert stream.wait_until_settled()

    stream.trained(taken, Update({}))
    assert not stream.wait_until_settled(timeout_s=0.01)

    known.add(taken.arrived[0].header.batch_id)
    assert stream.wait_until_settled(timeout_s=0.01)


def test_one_batch_in_a_while_is_kept_in_the_session_log(arrive, settled, known):
    stream = StreamExperience(1, known.__contains__, log_every_s=3600.0)

    for n in range(4):
        stream.offer(arrive(n))
        taken = stream.take(timeout_s=1)
        assert taken is not None
        stream.trained(taken, Update({}))

    assert [mark.body and mark.body.body for mark in settled] == [b"body", None, None, None]


def test_a_wait_ends_in_time_although_a_signal_handler_outlasts_it(slow_signal):
    stream = StreamExperience(1, set().__contains__, log_every_s=60.0)

    assert slow_signal(lambda: stream.take(timeout_s=0.1)) is None


@pytest.mark.parametrize(
    "end",
    [
        lambda arrival: arrival.accept(store=False),
        lambda arrival: arrival.set_aside("not-finite"),
        lambda arrival: arrival.drop("max env steps"),
    ],
    ids=["accepted", "set aside", "dropped"],
)
def test_every_fate_is_marked_with_the_login_of_its_sender(arrive, settled, end):
    end(arrive(0))

    assert [mark.login for mark in settled] == ["rack"]
