"""The ledger against a model that simply remembers the fate of every batch."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tinyqueue.data.session import Drop
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.ledger.marks import Mark

OWNER: Any = {"experiment": "pole", "run": "1"}
STAGES = ("a" * 32, "b" * 32)
MOST = 12
FATES = ("accepted", "set aside", "dropped", "duplicate")

numbers = st.integers(0, MOST)
marks = st.builds(
    lambda stage, n, fate, drops, steps: Mark(
        f"{stage}:{n}",
        fate,
        "" if fate in ("accepted", "duplicate") else "why",
        steps,
        tuple(Drop(other, "gave up") for other in drops if other < n),
    ),
    st.sampled_from(STAGES),
    numbers,
    st.sampled_from(FATES),
    st.lists(numbers, max_size=4),
    st.integers(0, 100),
)
without_id = st.sampled_from([Mark(None, "set aside", "torn"), Mark(None, "dropped", "torn")])


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "sessions.db"
        self.ledger = Ledger(self.path, **OWNER)
        self.fate: dict[str, str] = {}
        self.without_id: Counter[str] = Counter()
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

    def expect(self, mark: Mark) -> bool:
        if mark.batch_id is None:
            self.without_id[mark.fate] += 1
            return True
        stage = mark.batch_id.partition(":")[0]
        for drop in mark.announced:
            if f"{stage}:{drop.n}" in self.fate:
                self.late_drops += 1
            else:
                self.fate[f"{stage}:{drop.n}"] = "dropped"
        if mark.batch_id in self.fate or mark.fate == "duplicate":
            self.duplicates += 1
            return False
        self.fate[mark.batch_id] = mark.fate
        if mark.fate == "accepted":
            self.env_steps += mark.env_steps
        return True

    @invariant()
    def every_batch_has_the_fate_that_came_first(self):
        count = self.ledger.count()
        fates = Counter(self.fate.values()) + self.without_id
        highest = Counter()
        for batch_id in self.fate:
            stage, _, n = batch_id.partition(":")
            highest[stage] = max(highest[stage], int(n) + 1)
        assert count.accepted == fates["accepted"]
        assert sum(count.set_aside.values()) == fates["set aside"]
        assert sum(count.dropped.values()) == fates["dropped"]
        assert count.attempted == highest.total() + self.without_id.total()
        assert count.missing == highest.total() - len(self.fate)
        assert count.unbalanced == 0
        assert (count.duplicates, count.late_drops) == (self.duplicates, self.late_drops)
        assert self.ledger.env_steps == count.env_steps == self.env_steps

    @invariant()
    def it_knows_exactly_the_batches_that_have_a_fate(self):
        ids = {f"{stage}:{n}" for stage in STAGES for n in range(MOST + 2)}
        assert {batch_id for batch_id in ids if self.ledger.knows(batch_id)} == set(self.fate)


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
