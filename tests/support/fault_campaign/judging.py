"""The end of a set of servers: everything is let run dry, and the checker judges both runs."""

from __future__ import annotations

import time
from dataclasses import dataclass

from checker import Books, clock, read_books, read_history

from fault_campaign.hostile import STRANGE
from fault_campaign.results import Balance
from fault_campaign.world import World

PATIENCE_S = 120.0


@dataclass(frozen=True)
class Judged:
    """The journals of all players against the ledgers of both runs."""

    attempted: frozenset[str]
    confirmed: frozenset[str]
    books: dict[str, Books]

    @property
    def settled(self) -> frozenset[str]:
        return frozenset().union(*(books.settled for books in self.books.values()))

    @property
    def lost(self) -> frozenset[str]:
        """Confirmed, and without a fate."""
        return self.confirmed - self.settled

    @property
    def invented(self) -> frozenset[str]:
        """With a fate, though no player attempted it."""
        return self.settled - self.attempted


def judge_all(world: World) -> Judged:
    """Reads the books between two readings of the journals, which others still write."""
    before = read_history(world.journal)
    runs = {name: progress.run for name, progress in world.progress.items()}
    books = {name: read_books(run, without=STRANGE) for name, run in runs.items() if run}
    return Judged(read_history(world.journal).attempted, before.confirmed, books)


def end_and_judge(world: World, faults: int) -> Balance:
    """Ends the players, waits until all has a fate, ends the learners, and judges."""
    balance = Balance(faults)
    world.mend()
    for player in world.players:
        balance.wrong += filter(None, [player.end()])
    deadline_s = time.monotonic() + PATIENCE_S
    while judge_all(world).lost and time.monotonic() < deadline_s:
        world.mend_learners()
        time.sleep(0.5)
    for learner in world.learners.values():
        balance.wrong += filter(None, [learner.end()])
    judged = judge_all(world)
    balance.attempted, balance.confirmed = len(judged.attempted), len(judged.confirmed)
    balance.recovered = len((judged.attempted - judged.confirmed) & judged.settled)
    for name, books in judged.books.items():
        for fate, count in books.by_fate.items():
            balance.fates[fate] = balance.fates.get(fate, 0) + count
        balance.fates["duplicates"] = balance.fates.get("duplicates", 0) + books.duplicates
        run = world.progress[name].run
        assert run is not None
        balance.trained_twice_steps += abs(clock(run) - books.env_steps)
    balance.lost, balance.invented = len(judged.lost), len(judged.invented)
    for what, ids in (("lost", judged.lost), ("invented", judged.invented)):
        if ids:
            (world.folder / f"{what}.txt").write_text("\n".join(sorted(ids)))
    balance.falls = world.versions.falls()
    balance.versions = sum(len(each) for each in world.versions.published.values())
    return balance
