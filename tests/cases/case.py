"""What a case is, and how one is tried: commands with their right answers."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from terminal import Ended, Line, run
from whole import half_written, runs_in

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FIRST_WORD_S = 20.0
"""Goal: nobody waits longer for the sentence that tells what is so."""
TRAINS = r"^ +\d+:\d\d +[1-9][\d,]* steps|^ *[1-9][\d,]* env steps, [1-9]"
_SILENCE_S = 60.0
_NAMES = re.compile(r"\b\w+-v0\b|\b\w+-(impala|ppo)\b")
"""Of environments and experiments: ``OldReset-v0`` says nothing of ``reset``."""
_TINYQUEUE = (sys.executable, "-W", "ignore", "-m", "tinyqueue.cli.main")

Check = Callable[[Path, Sequence[Ended]], list[str]]


@dataclass(frozen=True)
class Command:
    """A command and what is right of it.

    Attributes:
        words: Its words; ``tinyqueue`` and ``python`` mean those of this interpreter.
        facts: Regular expressions, case ignored, ``^`` and ``$`` at lines. Each is found in what
            it prints. The wording is free; the name, the value, the setting are not.
        never: What it does not print.
        exit_codes: The right ones.
        within_s: It ends by itself in this time.
        keeps_run: Whether it leaves a run; None: that is not asked.
        environment: More environment variables.
    """

    words: tuple[str, ...]
    facts: tuple[str, ...] = (TRAINS,)
    never: tuple[str, ...] = ()
    exit_codes: tuple[int, ...] = (0,)
    within_s: float = 120.0
    keeps_run: bool | None = True
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """Something that users bring.

    Attributes:
        kind: ``"02 old API"``: the kind of thing.
        name: What distinguishes it from others of its kind.
        modules: Modules of environments/ that register what it plays.
        commands: Given one after the other, in one folder.
        check: What else is right, once they have ended: faults in a sentence each.
        is_quick: Whether the suite always tries it.
        copies: Files of scripts/ that are put into the folder.
    """

    kind: str
    name: str
    modules: tuple[str, ...]
    commands: tuple[Command, ...]
    check: Check | None = None
    is_quick: bool = False
    copies: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.kind}: {self.name}"


@dataclass(frozen=True)
class Verdict:
    """How a case went.

    Attributes:
        faults: What was not right; empty when the case passes.
        first_word_s: Seconds from the first command to the last of its facts; None: never.
        said: The line with that fact.
        seconds: All commands together.
        printed: All they said, for whoever has to find out.
    """

    case: Case
    faults: tuple[str, ...]
    first_word_s: float | None
    said: str
    seconds: float
    printed: str


def surroundings(modules: Sequence[str], extra: Mapping[str, str]) -> dict[str, str]:
    """The environment variables of a user who has only named his modules."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TINYQUEUE_")}
    kept |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}",
        "PYTHONPATH": os.pathsep.join([".", str(HERE / "environments"), str(ROOT)]),
        "PYTHONUNBUFFERED": "1",
    }
    if modules:
        kept["TINYQUEUE_ENVIRONMENT_MODULES"] = ",".join(modules)
    return {**kept, **extra}


def try_out(case: Case, folder: Path) -> Verdict:
    """Gives the commands of a case and judges what came of them.

    Args:
        case: Which.
        folder: An empty one.
    """
    for name in case.copies:
        (folder / name).write_text((HERE / "scripts" / name).read_text())
    ended: list[Ended] = []
    faults: list[str] = []
    for command in case.commands:
        ended.append(run_command(command, folder, case.modules))
        faults += judge(command, ended[-1], folder)
    if case.check is not None:
        faults += case.check(folder, ended)
    facts = case.commands[0].facts
    # That it trains is the answer only where there is nothing to say before.
    word = last_of([fact for fact in facts if fact != TRAINS] or facts, ended[0].lines)
    return Verdict(
        case,
        tuple(faults),
        None if word is None else word.at_s,
        "" if word is None else " ".join(word.text.split()),
        sum(one.seconds for one in ended),
        "\n".join(
            f"$ {' '.join(command.words)}\n{one.text}"
            for command, one in zip(case.commands, ended, strict=True)
        ),
    )


def run_command(command: Command, folder: Path, modules: Sequence[str]) -> Ended:
    """Gives one command, as a user who has named these modules."""
    environment = surroundings(modules, command.environment)
    return run(_resolved(command.words), folder, environment, command.within_s)


def judge(command: Command, ended: Ended, folder: Path) -> list[str]:
    """What is not right about a command that has ended."""
    faults = []
    if ended.killed_for:
        faults.append(f"after {ended.seconds:.0f} s {ended.killed_for}, and was killed")
    elif ended.exit_code not in command.exit_codes:
        faults.append(
            f"exit code {ended.exit_code}, not {' or '.join(map(str, command.exit_codes))}"
        )
    faults += [f"not said: {fact}" for fact in command.facts if _first(fact, ended.lines) is None]
    faults += [
        f"said: {line.text}" for word in command.never if (line := _first(word, ended.lines))
    ]
    faults += [f"left behind: process {process}" for process in ended.left]
    faults += [f"left behind: port {port}" for port in ended.open_ports]
    if ended.longest_silence_s > _SILENCE_S:
        faults.append(f"silent for {ended.longest_silence_s:.0f} s")
    if not ended.killed_for:
        faults += half_written(folder)
        if command.keeps_run is not None and command.keeps_run != bool(runs_in(folder)):
            faults.append("it left no run" if command.keeps_run else "it left a run")
    return faults


def last_of(facts: Sequence[str], lines: Sequence[Line]) -> Line | None:
    """The line by which all facts have been said; None when one is missing."""
    found = [_first(fact, lines) for fact in facts]
    lacks = not found or any(line is None for line in found)
    return None if lacks else max((line for line in found if line), key=lambda line: line.at_s)


def _first(fact: str, lines: Sequence[Line]) -> Line | None:
    pattern = re.compile(fact, re.IGNORECASE)
    return next((line for line in lines if pattern.search(_NAMES.sub("…", line.text))), None)


def _resolved(words: Sequence[str]) -> list[str]:
    known = {
        "tinyqueue": _TINYQUEUE,
        "python": (sys.executable, "-W", "ignore"),
        "celery": (sys.executable, "-W", "ignore", "-m", "celery"),
    }
    return [*known[words[0]], *words[1:]]
