"""Tries environments of the package index as a new user would, and prints docs' table.

    python tests/cases/packages.py [--only minigrid] [--json] [--keep FOLDER] [--write]

Needs the packages that PACKAGES names beside tinyqueue. The first command is one command and
nothing else. Where it is refused with something to write, the next one has it written, as the
refusal says and by no other knowledge.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from case import ROOT, TRAINS, Command, judge, last_of, run_command
from terminal import Ended

STEPS = 2000
WITHIN_S = 150.0
PAGE = ROOT / "docs" / "environments.md"
_MARKER = "<!-- The table of tests/cases/packages.py. -->"
_MOST_COMMANDS = 4
_MODULES = re.compile(r"TINYQUEUE_ENVIRONMENT_MODULES=([\w.,]+)")
_SETTING = re.compile(
    r"((?:environment|session|evaluation)\.[a-z_]+ ?= ?(?:\[[^\]]*\]|\{[^}]*\}|\d+))"
)
_TRACEBACK = "Traceback (most recent call last)"

PACKAGES = (
    ("minigrid", "MiniGrid-Empty-5x5-v0"),
    ("popgym", "popgym-RepeatPreviousEasy-v0"),
    ("highway-env", "highway-fast-v0"),
    ("flappy-bird-gymnasium", "FlappyBird-v0"),
    ("gymnasium[toy-text]", "Taxi-v4"),
    ("gymnasium[toy-text]", "Blackjack-v1"),
    ("gymnasium[mujoco]", "HalfCheetah-v5"),
    ("gymnasium-robotics", "FetchReach-v4"),
    ("miniwob", "miniwob/click-test-2-v1"),
    ("lbforaging", "Foraging-8x8-2p-1f-v3"),
    ("gym-electric-motor", "Cont-CC-PMSM-v0"),
    ("vizdoom (not installed)", "VizdoomBasic-v1"),
)
"""Package of the index, and an environment of it."""


@dataclass(frozen=True)
class Attempt:
    """One command.

    Attributes:
        line: As it was written.
        happened: ``trains`` or what was said.
        is_right: It trains, or is refused in a sentence, in time and leaving nothing.
    """

    line: str
    happened: str
    seconds: float
    trains: bool
    is_right: bool
    printed: str


def attempt(environment: str, modules: Sequence[str], more: Sequence[str], folder: Path) -> Attempt:
    """Gives ``tinyqueue train`` with these modules and these further words."""
    folder.mkdir(parents=True)
    words = ("tinyqueue", "train", environment, "--max-env-steps", str(STEPS), *more)
    command = Command(words, (), exit_codes=(0, 1), within_s=WITHIN_S, keeps_run=None)
    ended = run_command(command, folder, modules)
    (folder / "printed.txt").write_text(ended.text)
    faults = judge(command, ended, folder)
    trains = ended.exit_code == 0 and last_of((TRAINS,), ended.lines) is not None
    if _TRACEBACK in ended.text:
        faults.append("a traceback")
    named = f"TINYQUEUE_ENVIRONMENT_MODULES={','.join(modules)} " if modules else ""
    said = "trains" if trains else _last_words(ended)
    happened = f"{said} ({'; '.join(faults)})" if faults else said
    line = named + shlex.join(words)
    return Attempt(line, happened, ended.seconds, trains, not faults, ended.text)


def attempts(environment: str, folder: Path) -> list[Attempt]:
    """The command alone, then as each refusal says, until it trains or nothing new is said."""
    modules: list[str] = []
    more: list[str] = []
    tried: list[Attempt] = []
    while len(tried) < _MOST_COMMANDS:
        tried.append(attempt(environment, modules, more, folder / str(len(tried))))
        if tried[-1].trains:
            break
        advised = _advice(tried[-1].printed, modules, more)
        if advised == (modules, more):
            break
        modules, more = advised
    return tried


def _advice(said: str, modules: list[str], more: list[str]) -> tuple[list[str], list[str]]:
    """What the refusal says to write, beside what is written already."""
    _, _, refusal = said.partition("error: ")
    named = [name for found in _MODULES.findall(refusal) for name in found.strip(".,").split(",")]
    settings = [found.replace(" = ", "=") for found in _SETTING.findall(refusal)]
    more = [*more]
    if "--players 1" in refusal and "--players" not in more:
        more += ["--players", "1"]
    for setting in settings:
        if setting not in more:
            more += ["--set", setting]
    return [*dict.fromkeys([*modules, *named])], more


def _last_words(ended: Ended) -> str:
    """The error, else the last line."""
    _, error, refusal = ended.text.partition("error: ")
    text = refusal if error else (ended.lines[-1].text if ended.lines else "nothing")
    return " ".join(text.split())[:400]


def row(package: str, number: int, one: Attempt) -> str:
    """A line of the table in Markdown."""
    name = f"`{package}`" if number == 0 else ""
    happened = one.happened.replace("|", "\\|")
    return f"| {name} | `{one.line}` | {one.seconds:.0f} s: {happened} |"


def main(words: Sequence[str] | None = None) -> int:
    """Exit code 0 when each trains or is refused in a sentence."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="packages whose name contains this")
    parser.add_argument("--json", action="store_true", help="one JSON object per command")
    parser.add_argument("--keep", type=Path, help="keep folders and what was printed here")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    options = parser.parse_args(words)
    rows = ["| package | command | what happened |", "| --- | --- | --- |"]
    if not options.json:
        print("\n".join(rows))
    right = True
    with tempfile.TemporaryDirectory(prefix="packages-") as temporary:
        root = (options.keep or Path(temporary)).resolve()
        for place, (package, environment) in enumerate(PACKAGES):
            if options.only not in package:
                continue
            for number, one in enumerate(attempts(environment, root / f"{place:02d}")):
                right = right and one.is_right
                fields: dict[str, object] = {
                    "package": package,
                    "command": one.line,
                    "happened": one.happened,
                }
                fields |= {"trains": one.trains, "seconds": round(one.seconds, 1)}
                rows.append(row(package, number, one))
                print(json.dumps(fields) if options.json else rows[-1], flush=True)
    if options.write:
        before, _, _ = PAGE.read_text().partition(_MARKER)
        PAGE.write_text(f"{before}{_MARKER}\n\n" + "\n".join(rows) + "\n")
    return int(not right)


if __name__ == "__main__":
    sys.exit(main())
