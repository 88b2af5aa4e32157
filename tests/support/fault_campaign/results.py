"""What came of each fault, and of a whole campaign: for people and as JSON."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from fault_campaign.fault import GOALS_S


@dataclass
class Result:
    """One fault.

    Attributes:
        number, name, kind: Of the schedule.
        seed, lasts_s: What it was given.
        at_s: Seconds since the campaign began.
        took_s: From its beginning to its end.
        recovery_s: From its end until both experiments had accepted more; None if that did not
            happen in time.
        standstill_s: Experiment → the longest time without progress, from its beginning on.
        lost_s: Learner → seconds of training that its restart did not find in a checkpoint.
        memory_mb: Learner → resident memory afterwards.
        load: The machine's load average: what else it did makes every recovery slower.
        detail: What it did exactly.
        wrong: What should not have been, a sentence each.
    """

    number: int
    name: str
    kind: str
    seed: int
    lasts_s: float
    at_s: float
    took_s: float = 0.0
    recovery_s: float | None = None
    standstill_s: dict[str, float] = field(default_factory=dict)
    lost_s: dict[str, float] = field(default_factory=dict)
    memory_mb: dict[str, float] = field(default_factory=dict)
    load: float = 0.0
    detail: str = ""
    wrong: list[str] = field(default_factory=list)


@dataclass
class Balance:
    """What the checker says of one set of servers at its end.

    Attributes:
        faults: Number of faults that it went through.
        attempted, confirmed, recovered: By the players' journals.
        fates: By the ledgers of both runs.
        lost, invented, trained_twice_steps: Must be 0.
        falls: Where weight versions do not rise strictly.
        versions: How many were published.
        wrong: What else should not have been.
    """

    faults: int
    attempted: int = 0
    confirmed: int = 0
    recovered: int = 0
    fates: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    invented: int = 0
    trained_twice_steps: int = 0
    versions: int = 0
    falls: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def is_kept(self) -> bool:
        """Whether every promise was kept."""
        broken = self.lost or self.invented or self.trained_twice_steps
        return not (broken or self.falls or self.wrong)


@dataclass
class Report:
    """A campaign.

    Attributes:
        seed: Of its schedule.
        results: Of its faults.
        balances: Of its sets of servers: a new one follows whenever an experiment stands still
            for good.
    """

    seed: int
    results: list[Result] = field(default_factory=list)
    balances: list[Balance] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        """Everything that should not have been."""
        found = [f"{r.number} {r.name}: {text}" for r in self.results for text in r.wrong]
        for number, balance in enumerate(self.balances, 1):
            found += [f"servers {number}: {text}" for text in (*balance.wrong, *balance.falls)]
            for what in ("lost", "invented", "trained_twice_steps"):
                if count := getattr(balance, what):
                    found.append(f"servers {number}: {count} {what}")
        return found

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "seed": self.seed,
            "faults": len(self.results),
            "wrong": self.wrong,
            "kinds": {kind: spread(self._of_kind(kind)) for kind in GOALS_S},
            "by_fault": {
                name: spread([r for r in self.results if r.name == name])
                for name in dict.fromkeys(r.name for r in self.results)
            },
            "totals": self.totals(),
            "balances": [asdict(balance) for balance in self.balances],
            "results": [asdict(result) for result in self.results],
        }

    def totals(self) -> dict[str, int]:
        """The checker's numbers over all sets of servers."""
        names = ("attempted", "confirmed", "recovered", "lost", "invented", "trained_twice_steps")
        totals = {name: sum(getattr(b, name) for b in self.balances) for name in names}
        fates = sorted({fate for balance in self.balances for fate in balance.fates})
        totals |= {fate: sum(b.fates.get(fate, 0) for b in self.balances) for fate in fates}
        return totals | {"versions": sum(b.versions for b in self.balances)}

    def slow_kinds(self) -> list[str]:
        """Kinds whose p95 is beyond their goal."""
        found = []
        for kind, goal_s in GOALS_S.items():
            p95 = spread(self._of_kind(kind)).get("p95_s")
            if p95 is not None and p95 > goal_s:
                found.append(f"{kind}: p95 {p95:.1f} s, goal {goal_s:g} s")
        return found

    def table(self) -> str:
        """For a terminal, and for Markdown."""
        head = "| fault | kind | times | median s | p95 s | max s | wrong |"
        lines = [head, "|---|---|---|---|---|---|---|"]
        names = sorted({(r.kind, r.name) for r in self.results})
        for kind, name in names:
            lines.append(_row(name, kind, [r for r in self.results if r.name == name]))
        for kind, goal_s in GOALS_S.items():
            if of_kind := self._of_kind(kind):
                lines.append(_row(f"all, goal {goal_s:g} s", kind, of_kind))
        return "\n".join(lines)

    def _of_kind(self, kind: str) -> list[Result]:
        return [result for result in self.results if result.kind == kind]


def spread(results: Sequence[Result]) -> dict[str, Any]:
    """How often, and how fast it recovered; a recovery that did not come counts as infinite."""
    times = sorted(math.inf if r.recovery_s is None else r.recovery_s for r in results)
    numbers: dict[str, Any] = {"times": len(times), "wrong": sum(bool(r.wrong) for r in results)}
    if times:
        numbers |= {
            "median_s": statistics.median_high(times),
            "p95_s": times[math.ceil(0.95 * len(times)) - 1],
            "max_s": times[-1],
        }
    return {name: None if value == math.inf else value for name, value in numbers.items()}


def _row(name: str, kind: str, results: Sequence[Result]) -> str:
    found = spread(results)
    times = [_seconds(found[key]) for key in ("median_s", "p95_s", "max_s")]
    return f"| {' | '.join([name, kind, str(found['times']), *times, str(found['wrong'])])} |"


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f}"


def joined(texts: Iterable[str]) -> str:
    """For one line."""
    return "; ".join(text for text in texts if text)
