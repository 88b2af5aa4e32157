"""Whatever one login sends, the batches of the others are accepted once, and all stays small.

The whole learner up to its updates, without the broker: players of honest logins, whose messages
come late, twice and again after crashes, beside a login that knows all that they have sent.
"""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyqueue.algorithms.base import Update
from tinyqueue.bus.feed import TaskFeed
from tinyqueue.bus.messages import Delivery
from tinyqueue.bus.presence import AT_ONCE, LIVE_S, PER_S
from tinyqueue.data.identity import batch_id
from tinyqueue.data.session import Drop, SessionBatch
from tinyqueue.experience.setbacks import Setbacks
from tinyqueue.experience.stream_source import StreamExperience
from tinyqueue.learner.ingest import Ingest
from tinyqueue.ledger import stages_of_logins
from tinyqueue.ledger.ledger import Ledger, read_count
from tinyqueue.ledger.stage_count import MOST_GAPS
from tinyqueue.wire.contract import Contract
from tinyqueue.wire.failures import FAILURE_TYPE, TaskFailure, encode_failure
from tinyqueue.wire.limits import REASONS
from tinyqueue.wire.sessions import SESSION_TYPE, encode_session

HEAD, LAG = 50, 10
RUN = "c" * 32
MESSAGES = 500
MOST_STAGES = 25
Make = Callable[..., SessionBatch]


def message(batch: SessionBatch, login: str, **changes: Any) -> Delivery:
    encoded = encode_session(batch)
    delivery = Delivery(
        encoded.body, dict(encoded.headers), batch.header.batch_id, SESSION_TYPE, login=login
    )
    return replace(delivery, **changes)


@dataclass
class Player:
    """An honest one: it numbers its batches, says which it gave up, and sends some twice."""

    login: str
    name: str
    stage: str
    make: Make
    rng: random.Random
    n: int = 0
    dropped: list[Drop] = field(default_factory=list)
    fates: Counter[str] = field(default_factory=Counter)
    sent: list[Delivery] = field(default_factory=list)

    def play(self) -> list[Delivery]:
        """What it publishes next, if anything."""
        version = HEAD if self.rng.random() < 0.9 else HEAD - LAG - 1
        batch = self.make(
            self.n,
            stage=self.stage,
            version=version,
            user=self.login,
            player=self.name,
            dropped=tuple(self.dropped),
        )
        self.n += 1
        if self.rng.random() < 0.2:
            self.dropped.append(Drop(self.n - 1, "queue full"))
            self.fates["dropped"] += 1
            return []
        fate = "accepted" if version == HEAD else "dropped"
        if self.rng.random() < 0.1:
            rewards = np.full_like(batch.rewards, np.nan)
            batch, fate = replace(batch, rewards=rewards), "set aside"
        self.dropped = []
        self.fates[fate] += 1
        self.sent.append(message(batch, self.login))
        return [self.sent[-1]] * self.rng.choice([1, 1, 2])


class Mallory:
    """A login that sends whatever it can."""

    def __init__(self, make: Make, players: list[Player], rng: random.Random) -> None:
        self._make, self._players, self._rng = make, players, rng
        self._stages = [self.new_stage() for _ in range(3)]
        self._kinds = [
            self.valid,
            self.another_stage,
            self.junk,
            self.mutation,
            self.scattered_drops,
            self.failure,
        ]

    def new_stage(self) -> str:
        return f"{self._rng.getrandbits(128):032x}"

    def send(self) -> Delivery:
        return self._rng.choice(self._kinds)()

    def batch(self, stage: str, n: int, **header: Any) -> SessionBatch:
        values: dict[str, Any] = {
            "version": self._rng.choice([HEAD, HEAD, 0, HEAD + 1]),
            "user": "mallory",
            "player": f"ghost-{self._rng.getrandbits(20)}",
            "ended_tasks": tuple(f"task {self._rng.randrange(100)}" for _ in range(3)),
            "play_s": self._rng.choice([0.0, 1e300]),
        }
        return self._make(n, stage=stage, **(values | header))

    def valid(self) -> Delivery:
        stage = self._rng.choice([*self._stages, self.new_stage()])
        return message(self.batch(stage, self.any_n()), "mallory")

    def any_n(self) -> int:
        return self._rng.choice([self._rng.randrange(5), self._rng.randrange(10**6), 10**18 - 1])

    def another_stage(self) -> Delivery:
        """One that somebody uses: n of the past and of the future, in its own name or in theirs."""
        player = self.known()
        n = max(0, player.n + self._rng.randrange(-3, 4))
        drops = tuple(Drop(k, "queue full") for k in range(n)) if self._rng.random() < 0.5 else ()
        batch = self.batch(
            player.stage,
            n,
            user=self._rng.choice(["mallory", player.login]),
            run=self._rng.choice([RUN, RUN, "d" * 32]),
            dropped=drops,
        )
        return message(batch, "mallory")

    def junk(self) -> Delivery:
        player = self.known()
        stage = self._rng.choice([self.new_stage(), player.stage])
        n = self._rng.choice([self.any_n(), player.n])
        name = self._rng.choice([batch_id(stage, n), "", "\x1b", f"{stage}:{10**18}"])
        kind = self._rng.choice([SESSION_TYPE, "text/plain", FAILURE_TYPE])
        return Delivery(self._rng.randbytes(9), {"schema": 1}, name, kind, login="mallory")

    def mutation(self) -> Delivery:
        """What somebody has sent, with another body or none."""
        sent = self._rng.choice(self.known().sent)
        body = bytearray(sent.body)
        for _ in range(self._rng.randrange(3)):
            body[self._rng.randrange(len(body))] ^= 1 << self._rng.randrange(8)
        return replace(sent, body=bytes(body), login="mallory")

    def scattered_drops(self) -> Delivery:
        first = self._rng.randrange(10**6)
        drops = tuple(
            Drop(first + 2 * k, "".join(self._rng.choices("abcdefgh", k=9))) for k in range(64)
        )
        return message(
            self.batch(self._rng.choice(self._stages), first + 200, dropped=drops), "mallory"
        )

    def failure(self) -> Delivery:
        player = self.known()
        failure = TaskFailure(
            f"task {self._rng.randrange(100)}",
            "pole",
            RUN,
            f"kind {self._rng.getrandbits(30)}",
            "x",
            player.name,
            self._rng.choice(["mallory", player.login]),
        )
        return Delivery(encode_failure(failure), {}, "", FAILURE_TYPE, login="mallory")

    def known(self) -> Player:
        return self._rng.choice([player for player in self._players if player.sent])


class Learner:
    """From deliveries to acks, over crashes."""

    def __init__(self, path: Path, contract: Contract) -> None:
        self.path, self._contract = path, contract
        self.unacked: list[Delivery] = []
        self.now_s = 0.0
        names = iter(f"task {number}" for number in range(10**6))
        self.feed = TaskFeed(lambda: next(names), budget_s=2.0, clock=lambda: self.now_s)
        self.setbacks = Setbacks(lambda _: None, 60.0, clock=lambda: self.now_s)
        self.start()

    def start(self) -> None:
        self.ledger = Ledger(self.path, experiment="pole", run="1")
        self._experience = StreamExperience(1, self.ledger.knows, log_every_s=60.0)
        self._settled: list[tuple[Delivery, Any]] = []
        self._ingest = Ingest(
            self._contract,
            self.ledger,
            self._experience,
            max_policy_lag=LAG,
            head=lambda: HEAD,
            heard=self.feed.heard,
            failed=lambda failure, login: self.setbacks.failed(failure, login),
            setbacks=self.setbacks,
            evaluated=lambda _: None,
            check_lease=lambda: None,
        )

    def take(self, delivery: Delivery) -> None:
        self.now_s += 0.05
        in_hand = [(one.login, one.message_id) for one in self.unacked]
        if delivery.message_id and (delivery.login, delivery.message_id) in in_hand:
            return
        self.unacked.append(delivery)
        self._hand_over(delivery)

    def _hand_over(self, delivery: Delivery) -> None:
        self._ingest.on_delivery(
            delivery, lambda delivery, mark, set_aside=None: self._settled.append((delivery, mark))
        )

    def train(self) -> None:
        while (taken := self._experience.take(timeout_s=0)) is not None:
            self._experience.trained(taken, Update({}))

    def commit(self) -> None:
        settled, self._settled = self._settled, []
        self._ingest.commit(settled)
        done = {id(delivery) for delivery, _ in settled}
        self.unacked = [delivery for delivery in self.unacked if id(delivery) not in done]

    def crash(self) -> None:
        self.ledger.close()
        self.start()
        for delivery in self.unacked:
            self._hand_over(delivery)

    def go_on(self, rng: random.Random, crashes: bool) -> None:
        """Does some of what is due, at random."""
        self.feed.tick()
        if rng.random() < 0.3:
            self.train()
        if rng.random() < 0.3:
            self.commit()
        if crashes and rng.random() < 0.02:
            self.crash()

    def finish(self) -> None:
        self.train()
        self.commit()
        self.train()
        self.commit()
        assert self.unacked == []


@pytest.fixture
def players(make_batch: Make, rng: random.Random) -> list[Player]:
    return [
        Player(login, f"{login}:{number}", f"{rng.getrandbits(128):032x}", make_batch, rng)
        for login in ("rack", "hall")
        for number in range(3)
    ]


@pytest.fixture(params=range(6))
def rng(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(request.param)


@pytest.fixture
def learner(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Learner]:
    monkeypatch.setattr(stages_of_logins, "MOST_STAGES", MOST_STAGES)
    learner = Learner(tmp_path / "sessions.db", contract)
    yield learner
    learner.ledger.close()


@pytest.mark.slow
@pytest.mark.parametrize("crashes", [False, True])
def test_batches_of_honest_logins_are_accepted_once_whatever_another_sends(
    learner: Learner, players: list[Player], make_batch: Make, rng: random.Random, crashes: bool
) -> None:
    mallory = Mallory(make_batch, players, rng)
    late: list[Delivery] = []
    if crashes:
        # Whose stages are known: before that, a crash forgets who was there first.
        for player in players:
            while not player.fates["accepted"]:
                late += player.play()
    for _ in range(MESSAGES):
        if rng.random() < 0.4:
            # In order for each player, but held up behind others.
            late += rng.choice(players).play()
        while late and rng.random() < 0.7:
            learner.take(late.pop(0))
        if any(player.sent for player in players) and not late:
            learner.take(mallory.send())
        learner.go_on(rng, crashes)
    for delivery in late:
        learner.take(delivery)
    learner.finish()

    count = learner.ledger.count()
    assert count == read_count(learner.path)
    assert count.unbalanced == 0
    with closing(sqlite3.connect(learner.path)) as database:
        for player in players:
            check_honest(database, player, crashes)
        check_small(database)
    check_heard(learner, players)


def check_heard(learner: Learner, players: list[Player]) -> None:
    """A login that floods hides no player and ends no run."""
    names = {login: set(state.players) for login, state in learner.feed._presence._logins.items()}
    for player in players:
        if player.fates["accepted"]:
            assert player.name in names[player.login]
    assert len(names["mallory"]) <= AT_ONCE + PER_S * (LIVE_S + 1)
    assert learner.setbacks.hopeless() == ""


def check_honest(database: sqlite3.Connection, player: Player, crashes: bool) -> None:
    """Every batch has its fate, in a stage of its own login that misses nothing."""
    fates = player.fates
    # What it gave up since its last batch is not told yet.
    untold = len(player.dropped)
    row = database.execute(
        "SELECT login, accepted, dropped, set_aside + skipped, closed, next_n FROM stages "
        "WHERE stage = ?",
        (player.stage,),
    ).fetchone()
    if row is None:
        assert (fates["accepted"], fates["dropped"]) == (0, untold)
        return
    login, accepted, dropped, refused, closed, next_n = row
    told = fates["dropped"] - untold
    assert (login, accepted, dropped, closed) == (player.login, fates["accepted"], told, 0)
    # What was set aside before a stage's first batch is forgotten by a crash.
    least = 0 if crashes else fates["set aside"]
    assert least <= refused <= fates["set aside"]
    # All that is missing has been given up, and will be told.
    gaps = database.execute("SELECT first, last FROM gaps WHERE stage = ?", (player.stage,))
    missing = {n for first, last in gaps for n in range(first, last + 1)}
    if not crashes:
        assert missing == {drop.n for drop in player.dropped if drop.n < next_n}


def check_small(database: sqlite3.Connection) -> None:
    most = database.execute("SELECT max(c) FROM (SELECT count(*) c FROM stages GROUP BY login)")
    assert most.fetchone()[0] <= MOST_STAGES
    gaps = database.execute("SELECT max(c) FROM (SELECT count(*) c FROM gaps GROUP BY stage)")
    assert (gaps.fetchone()[0] or 0) <= MOST_GAPS
    owned = database.execute(
        "SELECT count(*) FROM gaps WHERE stage NOT IN (SELECT stage FROM stages)"
    )
    assert owned.fetchone() == (0,)
    # 64 that players may invent, and the learner's own.
    bound = 64 + len(REASONS) + 8
    assert database.execute("SELECT count(*) FROM reasons").fetchone()[0] <= bound
    assert database.execute("SELECT count(*) FROM logins").fetchone()[0] <= 3
