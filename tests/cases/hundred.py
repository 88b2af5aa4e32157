"""Tries environments of the grammar of faults, through the real command.

    python tests/cases/hundred.py [--count 100] [--seed 1] [--at-once 2] [--json] [--keep FOLDER]

Each ends within its bound, says its fault's name or trains on in spite of it, and leaves nothing.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from case import TRAINS, Command, judge, last_of, run_command
from grammar import Sentence, grow, module_of
from words import NO_ADVICE, train

WITHIN_S = 150.0
_STEPS = 3000
_TIME_TO_SAY_S = 20.0
_SILENCE_S = 60.0


@dataclass(frozen=True)
class Outcome:
    """How one environment went.

    Attributes:
        faults: What was not right.
        first_word_s: Seconds to the sentence that was right; None: there was none.
        said: That sentence.
    """

    sentence: Sentence
    exit_code: int | None
    seconds: float
    silence_s: float
    first_word_s: float | None
    said: str
    faults: tuple[str, ...]


def try_sentence(sentence: Sentence, folder: Path) -> Outcome:
    """Writes the module into an empty folder and trains on it."""
    name = "grown"
    (folder / f"{name}.py").write_text(module_of(sentence, "Grown"))
    hurry = ("--set", "environment.hang_s=5") if _may_hang(sentence) else ()
    command = Command(
        train("Grown-v0", *hurry, steps=_STEPS),
        facts=(),
        exit_codes=(1,) if sentence.cannot_play else (0, 1) if sentence.kind.harms else (0,),
        within_s=WITHIN_S,
        keeps_run=None,
    )
    ended = run_command(command, folder, (name,))
    faults = judge(command, ended, folder)
    named = last_of((sentence.kind.fact,), ended.lines) if sentence.kind.harms else None
    trained = last_of((TRAINS,), ended.lines)
    if ended.exit_code == 1:
        faults += [f"said: {word}" for word in NO_ADVICE if last_of((word,), ended.lines)]
    if sentence.kind.harms and named is None and _must_be_named(folder, ended.exit_code):
        faults.append(f"the fault is not named: {sentence.kind.fact}")
    if ended.exit_code == 0 and trained is None:
        faults.append("it ended well, and nothing was trained")
    word = named or trained
    return Outcome(
        sentence,
        ended.exit_code,
        ended.seconds,
        ended.longest_silence_s,
        word.at_s if word else None,
        " ".join(word.text.split()) if word else "",
        tuple(faults),
    )


def _may_hang(sentence: Sentence) -> bool:
    return any(word in sentence.kind.name for word in ("endless loop", "sleep", "lock"))


def _must_be_named(folder: Path, exit_code: int | None) -> bool:
    """A run that failed says why; one that went on says what struck it, if there was time to."""
    if exit_code != 0:
        return True
    try:
        struck = [float(row) for row in (folder / "struck.txt").read_text().split()]
        ended_s = max(path.stat().st_mtime for path in (folder / "runs").rglob("*"))
    except (OSError, ValueError):
        return False
    return ended_s - struck[0] > _TIME_TO_SAY_S


def sentences(count: int, seed: int) -> list[Sentence]:
    """So many different ones, the same for the same seed."""
    dice = random.Random(seed)
    drawn: dict[Sentence, None] = {}
    while len(drawn) < count:
        drawn[grow(dice)] = None
    return list(drawn)


def main(words: Sequence[str] | None = None) -> int:
    """Exit code 0 when none runs on, none is silent for a minute, and all else is right."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=2, help="runs side by side")
    parser.add_argument("--json", action="store_true", help="one JSON object per environment")
    parser.add_argument("--keep", type=Path, help="keep folders and what was printed here")
    options = parser.parse_args(words)
    drawn = sentences(options.count, options.seed)
    with tempfile.TemporaryDirectory(prefix="hundred-") as temporary:
        root = (options.keep or Path(temporary)).resolve()
        with ThreadPoolExecutor(options.at_once) as pool:
            outcomes = [
                _told(number, outcome, options.json)
                for number, outcome in enumerate(
                    pool.map(lambda pair: _tried(root, *pair), enumerate(drawn))
                )
            ]
    if not options.json:
        print(summary(outcomes))
    return int(any(outcome.faults for outcome in outcomes))


def summary(outcomes: Sequence[Outcome]) -> str:
    """The counts that have to be 0, and how many are right."""
    right = sum(not outcome.faults for outcome in outcomes)
    endless = sum(outcome.exit_code is None for outcome in outcomes)
    silent = sum(outcome.silence_s > _SILENCE_S for outcome in outcomes)
    times = sorted(one.first_word_s for one in outcomes if one.first_word_s is not None)
    said = f"; first word: median {times[len(times) // 2]:.1f} s, worst {times[-1]:.1f} s"
    return (
        f"{right} of {len(outcomes)} are right; runs without end: {endless}; "
        f"with a silent minute: {silent}{said if times else ''}"
    )


def _tried(root: Path, number: int, sentence: Sentence) -> Outcome:
    folder = root / f"{number:03d}"
    folder.mkdir(parents=True)
    return try_sentence(sentence, folder)


def _told(number: int, outcome: Outcome, as_json: bool) -> Outcome:
    word = "never" if outcome.first_word_s is None else f"{outcome.first_word_s:.1f} s"
    if as_json:
        fields = {
            "number": number,
            "environment": str(outcome.sentence),
            "exit_code": outcome.exit_code,
            "seconds": round(outcome.seconds, 1),
            "silence_s": round(outcome.silence_s, 1),
            "first_word_s": outcome.first_word_s,
            "said": outcome.said,
            "faults": outcome.faults,
        }
        print(json.dumps(fields), flush=True)
        return outcome
    print(
        f"{'FAIL' if outcome.faults else 'right'}  {number:3d}  exit {outcome.exit_code}  "
        f"{word:>7} {outcome.seconds:5.0f} s  {outcome.sentence}\n{'':14}{outcome.said[:110]}"
        + "".join(f"\n{'':14}- {fault}" for fault in outcome.faults),
        flush=True,
    )
    return outcome


if __name__ == "__main__":
    sys.exit(main())
