"""The ledger against a model that simply remembers the fate of every batch."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tinyqueue.data.session import Drop
from tinyqueue.ledger.ledger import Ledger, read_count
from tinyqueue.ledger.marks import Mark

OWNER: Any = {"experiment": "pole", "run": "1"}
STAGES = ("a" * 32, "b" * 32)
LOGINS = ("anna", "bert")
MOST = 12
FATES = ("accepted", "set aside", "dropped", "duplicate")

numbers = st.integers(0, MOST)
ranges = st.tuples(numbers, st.integers(1, 4))
marks = st.builds(
    lambda stage, n, fate, drops, steps, login: Mark(
        f"{stage}:{n}",
        fate,
        "" if fate in ("accepted", "duplicate") else "why",
        steps,
        tuple(
            Drop(first, "gave up", min(count, n - first))
            for first, count in drops
            if first < n and fate != "set aside"
        ),
        login=login,
    ),
    st.sampled_from(STAGES),
    numbers,
    st.sampled_from(FATES),
    st.lists(ranges, max_size=3),
    st.integers(0, 100),
    st.sampled_from(LOGINS),
)
without_id = st.builds(
    lambda fate, login: Mark(None, fate, "torn", login=login),
    st.sampled_from(("set aside", "dropped")),
    st.sampled_from(LOGINS),
)


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "sessions.db"
        self.ledger = Ledger(self.path, **OWNER)
        self.owner: dict[str, str] = {}
        self.fate: dict[str, str] = {}
        self.refused: set[tuple[str, str]] = set()
        self.elsewhere: set[str] = set()
        self.without_stage: Counter[str] = Counter()
        self.env_steps = self.duplicates = self.late_drops = 0

    def teardown(self):
        self.ledger.close()
        self.folder.cleanup()

    @rule(group=st.lists(st.one_of(marks, marks, marks, without_id), max_size=6))
    def record(self, group):
        recorded = self.ledger.record(group)
        assert [mark.decided for mark in recorded] == [self.expect(mark) for mark in group]

    @rule()
    def reopen(self):
        self.ledger.close()
        self.ledger = Ledger(self.path, **OWNER)
        # Noted in memory only.
        self.refused.clear()

    def expect(self, mark: Mark) -> bool:
        if mark.batch_id is None:
            self.without_stage[mark.fate] += 1
            return True
        stage = mark.batch_id.partition(":")[0]
        owner = self.owner.get(stage)
        is_over = mark.batch_id in self.fate or mark.batch_id in self.elsewhere
        if owner is None:
            is_over = (mark.login, mark.batch_id) in self.refused
        if mark.fate == "set aside" and owner is None and not is_over and not mark.announced:
            self.refused.add((mark.login, mark.batch_id))
            self.without_stage[mark.fate] += 1
            return True
        if owner not in (None, mark.login):
            self.duplicates += 1
            return False
        if mark.announced:
            self.begin(stage, mark.login)
        for n in (drop.n + i for drop in mark.announced for i in range(drop.count)):
            batch_id = f"{stage}:{n}"
            if batch_id in self.fate or batch_id in self.elsewhere:
                self.late_drops += 1
            else:
                self.fate[batch_id] = "dropped"
        if is_over or mark.fate == "duplicate":
            self.duplicates += 1
            return False
        self.begin(stage, mark.login)
        self.fate[mark.batch_id] = mark.fate
        if mark.fate == "accepted":
            self.env_steps += mark.env_steps
        return True

    def begin(self, stage: str, login: str) -> None:
        """The stage is its first login's, and what was set aside before has its fate."""
        if stage not in self.owner:
            self.owner[stage] = login
            self.elsewhere |= {
                batch_id
                for who, batch_id in self.refused
                if who == login and batch_id.startswith(stage)
            }

    @invariant()
    def every_batch_has_the_fate_that_came_first(self):
        count = self.ledger.count()
        fates = Counter(self.fate.values()) + self.without_stage
        highest = Counter()
        for batch_id in self.fate.keys() | self.elsewhere:
            stage, _, n = batch_id.partition(":")
            highest[stage] = max(highest[stage], int(n) + 1)
        known = highest.total() - len(self.elsewhere)
        assert count.accepted == fates["accepted"]
        assert sum(count.set_aside.values()) == fates["set aside"]
        assert sum(count.dropped.values()) == fates["dropped"]
        assert count.attempted == known + self.without_stage.total()
        assert count.missing == known - len(self.fate)
        assert count.unbalanced == 0
        assert (count.duplicates, count.late_drops) == (self.duplicates, self.late_drops)
        assert self.ledger.env_steps == count.env_steps == self.env_steps

    @rule()
    def recount(self):
        """Its totals are those of its rows."""
        assert self.ledger.count() == read_count(self.path)

    @invariant()
    def it_knows_exactly_the_batches_that_have_a_fate(self):
        for login in LOGINS:
            for stage in STAGES:
                ids = {f"{stage}:{n}" for n in range(MOST + 2)}
                known = {batch_id for batch_id in ids if self.ledger.knows(batch_id, login)}
                if stage in self.owner:
                    assert known == ids & (self.fate.keys() | self.elsewhere)
                else:
                    assert known == {one for who, one in self.refused if who == login} & ids

    @invariant()
    def a_stage_is_its_first_logins(self):
        for stage in STAGES:
            may = [login for login in LOGINS if self.ledger.may_use(f"{stage}:0", login)]
            assert may == [login for login in LOGINS if self.owner.get(stage, login) == login]


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
