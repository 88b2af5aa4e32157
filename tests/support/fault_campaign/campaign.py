"""Goes through a schedule of faults, and notes how long recovery takes and what is wrong."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from fault_campaign.fault import Acting
from fault_campaign.judging import end_and_judge
from fault_campaign.kept import Kept
from fault_campaign.progress import resumed_at
from fault_campaign.results import Balance, Report, Result, joined
from fault_campaign.table import Planned
from fault_campaign.world import World

START_S = 600.0
"""Two TensorFlows on a machine that may be busy with much else."""
PATIENCE_S = 120.0
"""An experiment that has not gone on by then does not recover; new servers follow."""
RISE_BATCHES = 3
"""An experiment has recovered once it has accepted so many more batches: one or two may have been
on their way."""
LOST_S = 10.0
"""The most training that a kill may cost, and as much again if it cost a checkpoint too."""
DEAF_S = 90.0
"""No fault lasts longer than a minute, and a worker writes several lines per second."""
TOLERANCE_S = 2.0
"""For the writing of a checkpoint, and for sampling."""

Say = Callable[[str], None]


def run_campaign(
    planned: Iterable[Planned],
    seed: int,
    folder: Path,
    say: Say,
    *,
    patience_s: float = PATIENCE_S,
) -> Report:
    """Runs a schedule.

    Args:
        planned: The schedule.
        seed: Its seed, for the report.
        folder: For all logs; one folder in it per set of servers.
        say: Shows a line of progress.
        patience_s: Seconds after which an experiment counts as standing still for good.
    """
    report = Report(seed)
    waiting = list(planned)
    began_s = time.monotonic()
    while waiting:
        number = len(report.balances) + 1
        before = len(report.results)
        with World(folder / f"servers-{number}") as world:
            servers = _Servers(world, began_s, say, patience_s)
            is_well = servers.begin()
            while waiting and is_well:
                result = servers.go_through(waiting.pop(0))
                report.results.append(result)
                is_well = result.recovery_s is not None
            if is_well:
                report.balances.append(end_and_judge(world, len(report.results) - before))
            else:
                said = "an experiment stands still for good; not judged"
                report.balances.append(Balance(len(report.results) - before, wrong=[said]))
        say(f"servers {number}: {report.balances[-1]}")
        if len(report.results) == before:
            break
    return report


class _Servers:
    def __init__(self, world: World, began_s: float, say: Say, patience_s: float) -> None:
        self._world, self._began_s, self._say = world, began_s, say
        self._patience_s = patience_s
        self._noted = 0

    def begin(self) -> bool:
        """Whether both experiments train."""
        began_s = time.monotonic()
        recovered_s = self._recovery_s(began_s, START_S)
        self._say(f"{self._at_s():7.1f} s  both experiments train" if recovered_s else "no start")
        return recovered_s is not None

    def go_through(self, planned: Planned) -> Result:
        """One fault, and the recovery from it."""
        world, fault = self._world, planned.fault
        time.sleep(planned.pause_s)
        result = Result(
            planned.number, fault.name, fault.kind, planned.seed, planned.lasts_s, self._at_s()
        )
        starts = {name: kept.starts for name, kept in world.learners.items()}
        began_s = time.monotonic()
        try:
            result.detail = fault.do(Acting(world, random.Random(planned.seed), planned.lasts_s))
        except Exception as error:
            result.wrong.append(f"{type(error).__name__}: {error}")
        ended_s = time.monotonic()
        result.took_s = ended_s - began_s
        result.recovery_s = self._recovery_s(ended_s, self._patience_s)
        if result.recovery_s is None:
            result.wrong.append(f"not recovered within {self._patience_s:g} s")
        self._replace_deaf()
        now_s = time.monotonic()
        for name, progress in world.progress.items():
            result.standstill_s[name] = round(progress.standstill_s(began_s, now_s), 2)
        result.wrong += [noted.text for noted in world.noted[self._noted :]]
        self._noted = len(world.noted)
        for name, kept in world.learners.items():
            if kept.starts > starts[name]:
                self._judge_restart(name, kept, result)
            result.memory_mb[name] = memory_mb(kept.process.pid)
        result.load = round(os.getloadavg()[0], 1)
        self._say(self._line(result))
        return result

    def _recovery_s(self, since_s: float, within_s: float) -> float | None:
        """Seconds until both experiments have accepted more than they had; None if not in time."""
        world = self._world
        goals = {
            name: progress.read() + RISE_BATCHES * progress.batch_steps
            for name, progress in world.progress.items()
        }
        while goals:
            world.mend()
            goals = {name: goal for name, goal in goals.items() if self._reads(name) < goal}
            if time.monotonic() > since_s + within_s:
                return None if goals else time.monotonic() - since_s
            if goals:
                time.sleep(0.05)
        return time.monotonic() - since_s

    def _replace_deaf(self) -> None:
        """Notes a worker that plays no more while others do, and starts it again."""
        for player in self._world.players:
            silent_s = time.time() - player.log.stat().st_mtime
            if silent_s > DEAF_S:
                self._world.note(
                    "worker", f"{player.name} has done nothing for {silent_s:.0f} s; {player.log}"
                )
                player.kill()
                player.start()

    def _reads(self, name: str) -> int:
        return self._world.progress[name].read()

    def _judge_restart(self, name: str, kept: Kept, result: Result) -> None:
        """How much training a learner's end has cost."""
        resumed = resumed_at(kept.process.printed)
        if resumed is None:
            return
        lost_s = self._world.progress[name].trained_s(resumed, kept.started_s)
        result.lost_s[name] = round(lost_s, 1)
        most_s = LOST_S * (2 if result.name == "torn-checkpoint" else 1)
        if result.name == "learner-term":
            most_s = 0.0
        if lost_s > most_s + TOLERANCE_S:
            result.wrong.append(f"{name}: updates of {lost_s:.0f} s of training lost")

    def _at_s(self) -> float:
        return time.monotonic() - self._began_s

    def _line(self, result: Result) -> str:
        recovery = "never" if result.recovery_s is None else f"{result.recovery_s:.1f} s"
        said = f"{result.at_s:7.1f} s  {result.number:3} {result.name:22}{result.took_s:5.1f} s"
        wrong = f"  WRONG: {joined(result.wrong)}" if result.wrong else ""
        return f"{said}, back in {recovery:8} {result.detail}{wrong}"


def memory_mb(pid: int) -> float:
    """Resident memory; 0 of a process that is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = [line.split()[1] for line in text.splitlines() if line.startswith("VmRSS")]
    return round(int(found[0]) / 1024, 1) if found else 0.0
