"""Replay over a real ledger: each batch once, and a restart from whatever was left of the run."""

import random
import sqlite3
import time
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tinyqueue.algorithms.base import Update
from tinyqueue.bus.messages import Delivery
from tinyqueue.errors import ConfigError
from tinyqueue.evaluation.threshold import ReturnThreshold
from tinyqueue.experience.make import make_experience
from tinyqueue.experience.replay_source import ReplayExperience
from tinyqueue.experience.setbacks import Setbacks
from tinyqueue.experience.source import Taken
from tinyqueue.learner.ingest import Ingest
from tinyqueue.learner.training_run import TrainingRun
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.ledger.marks import Mark, StoredBody
from tinyqueue.ledger.session_log import SessionLog
from tinyqueue.replay.plan import Prioritisation, ReplayPlan
from tinyqueue.run.checkpoints import Checkpoints
from tinyqueue.wire.sessions import SESSION_TYPE, decode_session, encode_session

PLAN = ReplayPlan(4, 1, 0.9, Prioritisation(1.0, 0.4, 0.4, 0))
BLOCKS = 40


class Learner:
    """One start of a run: ledger, ingest and experience as the service has them, and no broker."""

    def __init__(self, path, experiment, contract, plan):
        self.ledger = Ledger(path, experiment="pole", run=contract.run, keeps_bodies=True)
        self.experience = make_experience(experiment, plan, contract, self.ledger, path, lambda: 0)
        self.ingest = Ingest(
            contract,
            self.ledger,
            self.experience,
            max_policy_lag=10,
            head=lambda: 0,
            heard=lambda *_: None,
            failed=lambda *_: None,
            setbacks=Setbacks(lambda _: None, 60.0),
            evaluated=lambda _: None,
            check_lease=lambda: None,
        )
        self.settled = []
        self.accepted_before = self.ledger.count().accepted
        self.arrived = Counter()

    @property
    def replay(self):
        assert isinstance(self.experience, ReplayExperience)
        return self.experience._memory.replay

    def settle(self, delivery, mark, set_aside=None):
        self.settled.append((delivery, mark))

    def take_in(self, *deliveries):
        """Delivers, lets the replay work, and commits: all of them together."""
        for delivery in deliveries:
            self.ingest.on_delivery(delivery, self.settle)
        self._until(lambda: len(self.settled) == len(deliveries))
        group, self.settled = self.settled, []
        self.ingest.commit(group)
        added = self.ledger._numbers.stop - 1
        self._until(lambda: self.replay.newest_number == added)
        # A batch is in the replay a moment before it can be taken.
        accepted = self.ledger.count().accepted - self.accepted_before
        self._until(lambda: self.arrived.total() >= accepted)

    def _until(self, done):
        deadline_s = time.monotonic() + 10
        while not done():
            assert self.experience.error is None
            assert time.monotonic() < deadline_s
            taken = self.experience.take(timeout_s=0.001) or Taken(())
            self.arrived.update(batch.header.batch_id for batch in taken.arrived)
            if taken.experience is not None:
                self.experience.trained(taken, Update({}, np.full(4, 7.0, np.float32)))

    def close(self):
        self.experience.stop()
        self.ledger.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sessions.db"


@pytest.fixture
def experiment(make_experiment_of):
    replay = {"capacity_steps": 8 * BLOCKS, "minimum_steps": 8, "samples_per_insert": 0.5}
    return make_experiment_of(algorithm={"name": "dqn"}, replay=replay)


@pytest.fixture
def carried(contract):
    """The contract of batches that bring what a replay needs."""
    return replace(contract, extras={}, needs_carry=True)


@pytest.fixture
def start(path, experiment, carried):
    started = []

    def start(plan=PLAN):
        started.append(Learner(path, experiment, carried, plan))
        return started[-1]

    yield start
    for learner in started:
        learner.close()


@pytest.fixture
def begun(start):
    """A learner without a checkpoint, at work."""

    def begin(plan=PLAN):
        learner = start(plan)
        learner.said = learner.experience.restore(None)
        learner.experience.start()
        return learner

    return begin


@pytest.fixture
def deliver(make_batch):
    def deliver(n, stage=0):
        made = make_batch(n, stage=f"{stage:032x}")
        carry = {
            "episode_steps": np.zeros(2, np.int32),
            "previous_action": np.zeros(2, np.uint8),
            "previous_reward": np.zeros(2, np.float32),
        }
        observations = {"": np.full((5, 2, 4), n, np.float32)}
        encoded = encode_session(replace(made, extras={}, carry=carry, observations=observations))
        return Delivery(encoded.body, encoded.headers, made.header.batch_id, SESSION_TYPE)

    return deliver


def decoded(delivery):
    return decode_session(delivery.body, delivery.headers)


def accepted(delivery):
    body = StoredBody(delivery.body, delivery.headers)
    return Mark(delivery.message_id, "accepted", env_steps=8, body=body)


def test_of_thousands_that_come_again_and_late_none_is_accepted_twice(begun, deliver, path):
    rng = random.Random(5)
    fresh = [(n, stage) for n in range(150) for stage in range(4)]
    fresh.sort(key=lambda place: place[0] + rng.uniform(0, 15))
    learner, seen, again, evicted = begun(), [], 0, 0
    for i in range(0, len(fresh), 5):
        seen += fresh[i : i + 5]
        repeated = [rng.choice(seen) for _ in range(25)]
        group = list(dict.fromkeys([*fresh[i : i + 5], *repeated]))
        rng.shuffle(group)
        learner.take_in(*(deliver(*place) for place in group))
        again += len(group) - 5
        with SessionLog(path) as log:
            held = {row.batch_id for row in log.rows()}
        evicted += sum(f"{stage:032x}:{n}" not in held for n, stage in group)

    count = learner.ledger.count()
    assert (count.accepted, count.env_steps, count.unbalanced) == (600, 4800, 0)
    assert count.duplicates == again > 2000
    assert evicted > 1000
    assert set(learner.arrived.values()) == {1}
    assert len(learner.arrived) == 600
    assert learner.replay.newest_number == 600
    assert learner.replay.env_steps <= 8 * BLOCKS


def test_what_was_evicted_and_trimmed_is_known_after_a_restart_too(begun, deliver, path):
    learner = begun()
    for n in range(100):
        learner.take_in(deliver(n))
    learner.close()
    with SessionLog(path) as log:
        assert log.numbers.start > 50

    learner = begun()
    learner.take_in(*(deliver(n) for n in range(100)))

    count = learner.ledger.count()
    assert (count.accepted, count.duplicates, count.env_steps) == (100, 100, 800)
    assert learner.replay.newest_number == 100
    assert not learner.arrived


def test_a_changed_byte_costs_its_batch_and_the_restart_says_so(begun, deliver, path):
    learner = begun()
    for n in range(8):
        learner.take_in(deliver(n))
    learner.close()
    data = bytearray(path.read_bytes())
    data[data.index(np.full(30, 4, np.float32).tobytes()) + 50] ^= 1
    path.write_bytes(data)

    learner = begun()

    assert "items of 56 env steps" in learner.said
    assert learner.said.endswith("1 rows were left out, such as 5: its checksum is wrong")
    learner.take_in(deliver(4), deliver(8))
    assert learner.ledger.count().duplicates == 1
    assert learner.replay.env_steps == 64


def destroy_a_page(path, n):
    """Overwrites the page that holds batch ``n``."""
    with sqlite3.connect(path) as database:
        (size,) = database.execute("PRAGMA page_size").fetchone()
    database.close()
    data = bytearray(path.read_bytes())
    page = data.index(np.full(30, n, np.float32).tobytes()) // size
    data[page * size : (page + 1) * size] = b"\xff" * size
    path.write_bytes(data)


def test_a_destroyed_page_is_no_hindrance_to_what_comes_after_a_restart(begun, deliver, path):
    learner = begun()
    for n in range(BLOCKS):
        learner.take_in(deliver(n))
    learner.close()
    destroy_a_page(path, BLOCKS // 2)

    learner = begun()

    assert "rows were left out" in learner.said
    assert 0 < learner.replay.env_steps < 8 * BLOCKS
    for n in range(BLOCKS, 3 * BLOCKS):
        learner.take_in(deliver(n))
    assert learner.replay.env_steps == 8 * BLOCKS
    with SessionLog(path) as log:
        assert len(list(log.rows())) <= BLOCKS + 2
        assert log.skipped == {}


def test_a_log_of_another_t_by_b_is_refused_and_nothing_of_it_is_lost(
    begun, deliver, path, experiment, carried
):
    learner = begun()
    for n in range(4):
        learner.take_in(deliver(n))
    learner.close()

    learner = Learner(path, experiment, replace(carried, ticks=8), PLAN)
    with pytest.raises(ConfigError, match=r"4 ticks × 2 slots.* is 8 × 2 now"):
        learner.experience.restore(None)
    assert learner.replay.env_steps == 0
    learner.close()

    learner = begun()
    assert learner.replay.env_steps == 32


def test_a_log_of_which_nothing_is_left_does_not_hold_players_up(begun, deliver, path):
    learner = begun()
    for n in range(9):
        learner.take_in(deliver(n))
    learner.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE batches SET crc = 0")
    database.close()

    learner = begun()

    assert learner.replay.size == 0
    learner.take_in(deliver(9))
    learner.take_in(deliver(10))
    assert learner.replay.env_steps == 16


def test_players_go_on_while_no_item_is_complete(begun, deliver):
    learner = begun(replace(PLAN, n_step=9))

    # Far more than training may be behind by; each stage has 8 of 10 rows of an item.
    for stage in range(BLOCKS // 2):
        learner.take_in(deliver(0, stage))
        learner.take_in(deliver(1, stage))

    assert learner.replay.size == 0
    learner.take_in(deliver(2, stage))
    assert learner.replay.size > 0


def cut_in_half(folder):
    file = folder / "replay.bin"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_a_bit(folder):
    data = bytearray((folder / "replay.bin").read_bytes())
    data[-20] ^= 1
    (folder / "replay.bin").write_bytes(data)


def tear(folder):
    (folder / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("damage", "named"),
    [(cut_in_half, "replay.bin"), (flip_a_bit, "replay.bin"), (tear, "manifest.json")],
)
def test_a_damaged_checkpoint_gives_way_to_the_one_before_with_its_priorities(
    start, deliver, experiment, make_updater, tmp_path, damage, named
):
    no_games: Any = None  # none are requested in these tests
    said, checkpoints = [], Checkpoints(tmp_path / "checkpoints", keep=3)

    def training_of(learner):
        updater = make_updater()
        threshold = ReturnThreshold(None, experiment.evaluation, no_games, 0)
        reporter: Any = SimpleNamespace(message=said.append, refused=said.append)
        return TrainingRun(
            experiment, updater, checkpoints, threshold, reporter, learner.experience
        )

    learner = start()
    training = training_of(learner)
    for number in range(1, 5):
        learner.replay.add(number, decoded(deliver(number)))
        learner.ledger.record([accepted(deliver(number))])
    for priority in (5.0, 6.0):
        rows = np.arange(32)
        births = learner.replay._ring.births(rows)
        learner.replay.update_priorities(rows, births, np.full(32, priority))
        training.saver.save()
    damage(checkpoints.paths()[-1])

    learner = start()
    training_of(learner).restore(learner.ledger)

    assert said[0].startswith("checkpoint passed over")
    assert named in said[0]
    assert "resumed from the checkpoint at 0 env steps" in said[1]
    assert "replay restored from the session log: 30 items of 32 env steps" in said[2]
    powers = learner.experience.state().arrays["priorities"]
    assert set(powers.ravel().round(3).tolist()) == {5.0, 0.0}
