"""The play loop: a task's budget, what becomes of every batch, and what is kept between tasks."""

import functools
import hashlib
import json
import threading
import time
from collections import deque
from itertools import pairwise

import numpy as np
import pytest
from onnx import TensorProto, helper

from tinyqueue.bus.messages import PublishOutcome
from tinyqueue.data.session import Drop
from tinyqueue.errors import EnvironmentFailedError, EnvironmentMismatchError, MessageError
from tinyqueue.player import open_stages
from tinyqueue.player import player as player_module
from tinyqueue.player.player import Player, PlayTask
from tinyqueue.settings import Settings
from tinyqueue.store import weights as weights_module
from tinyqueue.store.client import connect
from tinyqueue.store.keys import Keys
from tinyqueue.store.specs import SpecStore
from tinyqueue.store.weights import WeightStore
from tinyqueue.wire.limits import Limits
from tinyqueue.wire.sessions import decode_session
from tinyqueue.wire.weights import WeightVersion, decode_weights

EPOCH = 1
CONFIRMED, FULL, NO_LEARNER, UNKNOWN = PublishOutcome


class Broker:
    """Answers publishes with what is in ``outcomes``, then with ``otherwise``."""

    def __init__(self):
        self.outcomes = deque()
        self.otherwise = CONFIRMED
        self.offered, self.confirmed, self.closed = [], [], 0

    def __call__(self, broker, login, **_):
        return self

    def publish(self, outgoing):
        batch = decode_session(outgoing.body, outgoing.headers, Limits())
        assert outgoing.message_id == batch.header.batch_id
        self.offered.append(batch.header)
        outcome = self.outcomes.popleft() if self.outcomes else self.otherwise
        if outcome is CONFIRMED:
            self.confirmed.append(batch.header)
        return outcome

    def pause_s(self):
        return 0.002

    def close(self):
        self.closed += 1


class Learners:
    """Publishes specs and weights as learners do."""

    def __init__(self, client, make_spec, make_graph):
        self.client, self.make_spec, self.make_graph = client, make_spec, make_graph
        self.versions = 0

    def start(self, experiment="maze", run="a-run", env="Countdown-v0", **environment):
        played = self.make_spec(env, ticks=4, slots=2, **environment)
        graph = self.make_graph(played)
        sha256 = hashlib.sha256(graph).hexdigest()
        changes = {"experiment": experiment, "run": run, "graph_sha256": sha256}
        spec = played.model_copy(update=changes)
        SpecStore(self.client).publish(spec, graph, EPOCH)
        self.hold_lease(experiment, run)
        self.publish(spec)
        return spec

    def hold_lease(self, experiment, run):
        self.client.hset(Keys(experiment).lease, "run", run)

    def release_lease(self, experiment):
        self.client.delete(Keys(experiment).lease)

    def publish(self, spec):
        self.versions += 1
        weights = {"scale": np.ones(1, np.float32)}
        WeightStore(self.client, spec.experiment).publish(
            WeightVersion(self.versions, 1, spec.run, 0, 0, spec.graph_sha256, weights)
        )
        return self.versions


def reading_graph(path):
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[16])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=path)
    node = helper.make_node("Identity", ["w"], ["output:logits"])
    output = helper.make_tensor_value_info("output:logits", TensorProto.FLOAT, [16])
    graph = helper.make_graph([node], "policy", [], [output], [tensor])
    return helper.make_model(graph, ir_version=9).SerializeToString()


@pytest.fixture
def client(redis_url):
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def learners(client, spec, graph):
    return Learners(client, spec, graph)


@pytest.fixture
def broker():
    return Broker()


@pytest.fixture
def make_player(redis_url, broker):
    players = []

    def make(**settings):
        given = Settings(broker_url="redis://unused", redis_url=redis_url, **settings)
        players.append(Player(given, seed=1, publisher=broker))
        return players[-1]

    yield make
    for player in players:
        player.close()


@pytest.fixture
def player(make_player):
    return make_player()


def told(headers):
    """The tasks that headers told the end of, in order."""
    return [ended for header in headers for ended in header.ended_tasks]


def task(spec, name="t1", budget_s=0.3):
    return PlayTask(name, spec.experiment, spec.run, spec.version, budget_s)


def test_a_task_is_played_until_its_budget_is_spent(player, learners, broker):
    spec = learners.start(env="Slow-v0")
    player.play(task(spec, "warm-up"))
    played = len(broker.confirmed)

    began_s = time.monotonic()
    report = player.play(task(spec, "t1", budget_s=0.3))

    assert 0.2 < time.monotonic() - began_s < 3.0
    assert report.ended == "budget"
    assert report.batches == len(broker.confirmed) - played > 1
    assert report.refused == 0
    assert report.play_cpu_s > 0
    assert report.bus_cpu_s > 0


def test_every_task_that_ended_is_told_once(player, learners, broker):
    spec = learners.start(env="Slow-v0")

    for name in ("t1", "t2", "t3"):
        player.play(task(spec, name))

    # By its own last batch, or by the next task's first when its budget ran out in between.
    assert told(broker.confirmed)[:2] == ["t1", "t2"]
    for before, after in pairwise(broker.confirmed):
        if before.task != after.task:
            assert (*before.ended_tasks, *after.ended_tasks[:1]) == (before.task,)


def test_a_stage_goes_on_from_task_to_task(player, learners, broker):
    spec = learners.start()

    for name in ("t1", "t2", "t3"):
        player.play(task(spec, name))

    assert len({header.stage for header in broker.confirmed}) == 1
    assert [header.n for header in broker.confirmed] == list(range(len(broker.confirmed)))


def test_newer_weights_are_played_within_a_task(player, learners, broker):
    spec = learners.start()
    player.play(task(spec))

    newest = learners.publish(spec)
    player.play(task(spec, "t2", budget_s=0.3))

    assert broker.confirmed[0].policy_version == 1
    assert broker.confirmed[-1].policy_version == newest == 2


@pytest.mark.parametrize("refusal", [FULL, UNKNOWN])
def test_a_refused_batch_is_offered_again_under_its_id(player, learners, broker, refusal):
    spec = learners.start()
    broker.outcomes.extend([refusal, refusal, CONFIRMED])

    report = player.play(task(spec))

    assert [header.n for header in broker.offered[:4]] == [0, 0, 0, 1]
    assert report.refused == 2
    assert report.ended == "budget"


@pytest.mark.parametrize(("refusal", "ended"), [(FULL, "full"), (UNKNOWN, "broker")])
def test_a_batch_that_is_not_taken_goes_first_in_the_next_task(
    player, learners, broker, refusal, ended
):
    spec = learners.start()
    broker.otherwise = refusal

    report = player.play(task(spec, "t1"))

    assert (report.ended, report.batches) == (ended, 0)
    broker.otherwise = CONFIRMED
    player.play(task(spec, "t2"))
    assert [header.n for header in broker.confirmed[:2]] == [0, 1]
    assert broker.confirmed[0].dropped == ()
    assert told(broker.confirmed[:2]) == ["t1"]


@pytest.mark.parametrize(
    ("refusal", "reason"), [(FULL, "queue full"), (UNKNOWN, "broker unreachable")]
)
def test_a_batch_is_given_up_in_time_and_the_next_header_says_so(
    player, learners, broker, monkeypatch, refusal, reason
):
    monkeypatch.setattr(player_module, "GIVE_UP_S", 0.02)
    spec = learners.start()
    broker.otherwise = refusal
    player.play(task(spec, "t1"))

    broker.otherwise = CONFIRMED
    player.play(task(spec, "t2"))

    assert [header.n for header in broker.confirmed[:2]] == [1, 2]
    assert [header.dropped for header in broker.confirmed[:2]] == [(Drop(0, reason),), ()]
    assert broker.confirmed[0].ended_tasks == ("t1",)


def test_without_a_learner_the_task_ends_at_once(player, learners, broker):
    spec = learners.start()
    broker.otherwise = NO_LEARNER

    began_s = time.monotonic()
    report = player.play(task(spec, "t1", budget_s=5.0))

    assert time.monotonic() - began_s < 3.0
    assert report.ended == "no learner"
    broker.otherwise = CONFIRMED
    player.play(task(spec, "t2"))
    assert broker.confirmed[0].dropped == (Drop(0, "no learner"),)
    assert broker.confirmed[0].ended_tasks == ("t1",)


def test_what_a_dropped_header_would_have_told_is_told_by_the_next(player, learners, broker):
    spec = learners.start()
    broker.outcomes.extend([NO_LEARNER, NO_LEARNER, CONFIRMED])

    for name in ("t1", "t2", "t3"):
        player.play(task(spec, name))

    assert broker.confirmed[0].n == 2
    assert broker.confirmed[0].dropped == (Drop(0, "no learner", 2),)
    assert broker.confirmed[0].ended_tasks == ("t1", "t2")


@pytest.mark.parametrize(("alive", "ended"), [(False, "no learner"), (True, "full")])
def test_a_full_queue_is_left_alone_when_its_learner_is_gone(
    player, learners, broker, monkeypatch, alive, ended
):
    monkeypatch.setattr(player_module, "_LEASE_CHECK_S", 0.01)
    spec = learners.start()
    player.play(task(spec))
    if not alive:
        learners.release_lease(spec.experiment)
    broker.otherwise = FULL

    report = player.play(task(spec))

    assert report.ended == ended


def test_tasks_of_nobody_and_of_an_earlier_run_end_and_play_nothing(player, learners, broker):
    spec = learners.start()

    nobody = player.play(PlayTask("t1", "unheard-of", "a-run", 1, 5.0))
    earlier = player.play(PlayTask("t2", spec.experiment, "b-run", spec.version, 5.0))

    assert (nobody.ended, earlier.ended) == ("no learner", "other run")
    assert broker.offered == []


def test_without_weights_a_task_waits_for_them_within_its_budget(player, learners, broker, client):
    spec = learners.start()
    client.delete("tinyqueue:maze:head")

    assert player.play(task(spec, budget_s=0.1)).ended == "no weights"

    learners.publish(spec)
    assert player.play(task(spec, "t2", budget_s=2.0)).ended == "budget"
    assert broker.confirmed[0].ended_tasks == ("t1",)


def test_a_new_spec_closes_the_stage(player, learners, broker):
    before = learners.start()
    player.play(task(before))
    after = learners.start(run="b-run", kwargs={"length": 9})

    player.play(task(after, "t2"))

    first, last = broker.confirmed[0], broker.confirmed[-1]
    assert (first.run, last.run) == ("a-run", "b-run")
    assert first.stage != last.stage
    assert last.spec_version == after.version
    assert broker.closed == 1


def test_a_task_of_a_spec_that_has_changed_plays_the_present_one(player, learners, broker):
    outdated = learners.start()
    present = learners.start(kwargs={"length": 9})

    player.play(task(outdated))

    assert {header.spec_version for header in broker.confirmed} == {present.version}


@pytest.mark.parametrize("experiments", [5, 16])
def test_experiments_in_turn_keep_their_stages(player, learners, broker, experiments):
    specs = [learners.start(experiment=f"maze-{i}") for i in range(experiments)]

    for spec in 2 * specs:
        player.play(task(spec, budget_s=0.05))

    assert len({header.stage for header in broker.confirmed}) == experiments


def test_tasks_of_an_ended_run_play_nothing_though_its_stage_is_open(player, learners, broker):
    old = learners.start()
    player.play(task(old))
    played = len(broker.offered)
    new = learners.start(run="b-run")
    time.sleep(0.5)

    began_s = time.monotonic()
    ended = {player.play(task(old, f"t{i}", budget_s=5.0)).ended for i in range(100)}

    assert ended == {"other run"}
    assert time.monotonic() - began_s < 5.0
    assert len(broker.offered) == played
    assert player.play(task(new)).ended == "budget"


def test_a_run_that_is_replaced_ends_in_the_middle_of_a_task(player, learners, broker):
    spec = learners.start()
    player.play(task(spec))
    threading.Timer(0.3, learners.hold_lease, (spec.experiment, "b-run")).start()

    began_s = time.monotonic()
    report = player.play(task(spec, "t2", budget_s=60.0))

    assert report.ended == "other run"
    assert time.monotonic() - began_s < 30.0


def test_a_spec_and_weights_beyond_any_size_are_refused_with_a_sentence(
    player, learners, monkeypatch
):
    spec = learners.start()
    monkeypatch.setattr(player_module, "MOST_SPEC_BYTES", 100)
    with pytest.raises(MessageError, match=r"the spec of 'maze' has \d+ bytes"):
        player.play(task(spec))

    monkeypatch.undo()
    small = functools.partial(decode_weights, limits=Limits(body_bytes=50))
    monkeypatch.setattr(weights_module, "decode_weights", small)
    with pytest.raises(MessageError, match="bytes of weights; at most 50"):
        player.play(task(spec, budget_s=10.0))


def test_a_graph_that_reads_files_is_refused_and_never_loaded(player, learners, broker, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(64))
    spec = learners.start()
    sha256 = hashlib.sha256(malicious := reading_graph(str(tmp_path / "secret"))).hexdigest()
    spec = spec.model_copy(update={"graph_sha256": sha256})
    SpecStore(learners.client).publish(spec, malicious, EPOCH)
    learners.publish(spec)

    with pytest.raises(MessageError, match="files or memory of this machine"):
        player.play(task(spec, budget_s=10.0))

    assert broker.offered == []


def test_an_idle_stage_is_closed(player, learners, broker, monkeypatch):
    spec = learners.start()
    player.play(task(spec))
    monkeypatch.setattr(open_stages, "IDLE_STAGE_S", 0.05)
    time.sleep(0.1)

    player.play(task(spec, "t2"))

    assert broker.confirmed[0].stage != broker.confirmed[-1].stage


def test_a_broken_environment_ends_its_task_and_the_next_has_a_new_stage(player, learners, broker):
    spec = learners.start(kwargs={"length": 50, "breaks_at": 6})

    for name in ("t1", "t2"):
        with pytest.raises(EnvironmentFailedError, match="the joystick is gone"):
            player.play(task(spec, name, budget_s=5.0))

    stages = [header.stage for header in broker.confirmed]
    numbers = [header.n for header in broker.confirmed]
    assert len(set(stages)) == 2
    assert numbers == 2 * list(range(len(numbers) // 2))
    assert any("the joystick is gone" in header.fault for header in broker.confirmed)


def test_an_environment_unlike_the_learners_is_refused_and_others_are_played(
    player, learners, broker
):
    right = learners.start()
    wrong = learners.start(experiment="wrong").model_copy(
        update={"environment": learners.make_spec("CartPole-v1", 4, 2).environment}
    )
    SpecStore(learners.client).publish(wrong, learners.make_graph(right), EPOCH)

    with pytest.raises(EnvironmentMismatchError):
        player.play(task(wrong))

    assert player.play(task(right)).ended == "budget"


def test_the_journal_tells_of_every_batch_what_became_of_it(
    make_player, learners, broker, tmp_path
):
    player = make_player(publish_journal=tmp_path)
    spec = learners.start()
    broker.outcomes.extend([CONFIRMED, NO_LEARNER])

    player.play(task(spec))

    (file,) = tmp_path.iterdir()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    stage = broker.offered[0].stage
    assert [(line["batch_id"], line["event"]) for line in lines] == [
        (f"{stage}:0", "attempted"),
        (f"{stage}:0", "confirmed"),
        (f"{stage}:1", "attempted"),
        (f"{stage}:1", "dropped"),
    ]
