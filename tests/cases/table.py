"""Tries all cases, or some, and prints a table: what was said, and after how many seconds.

python tests/cases/table.py [--only 06] [--at-once 2] [--json] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from case import FIRST_WORD_S, Case, Verdict, try_out
from given import GIVEN
from kin import KIN

MEDIAN_S = 10.0


def main(words: Sequence[str] | None = None) -> int:
    """Exit code 0 when every case passes and the first words come in time."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", default="", help="cases whose title contains this")
    parser.add_argument("--at-once", type=int, default=2, help="cases tried side by side")
    parser.add_argument("--given", action="store_true", help="without the others of each kind")
    parser.add_argument("--json", action="store_true", help="one JSON object per case")
    parser.add_argument("--keep", type=Path, help="keep folders and what was printed here")
    options = parser.parse_args(words)
    cases = [
        case for case in (GIVEN if options.given else (*GIVEN, *KIN)) if options.only in case.title
    ]
    with tempfile.TemporaryDirectory(prefix="cases-") as temporary:
        root = (options.keep or Path(temporary)).resolve()
        with ThreadPoolExecutor(options.at_once) as pool:
            verdicts = [
                _told(verdict, options.json)
                for verdict in pool.map(lambda pair: _tried(root, *pair), enumerate(cases))
            ]
    if not options.json:
        print(summary(verdicts))
    return int(any(verdict.faults for verdict in verdicts) or not in_time(verdicts))


def in_time(verdicts: Iterable[Verdict]) -> bool:
    """Whether the median and the worst of the first words are within the goal."""
    times = _times(verdicts)
    return not times or (statistics.median(times) <= MEDIAN_S and max(times) <= FIRST_WORD_S)


def row(verdict: Verdict) -> str:
    """One case, and a line for each of its faults."""
    word = "  never" if verdict.first_word_s is None else f"{verdict.first_word_s:5.1f} s"
    head = f"{'FAIL' if verdict.faults else 'pass'}  {word}  {verdict.seconds:5.0f} s"
    faults = "".join(f"\n{'':26}- {fault}" for fault in verdict.faults)
    return f"{head}  {verdict.case.title}\n{'':26}{verdict.said[:110]}{faults}"


def summary(verdicts: Sequence[Verdict]) -> str:
    """The count, and the seconds to the first right sentence."""
    passed = sum(not verdict.faults for verdict in verdicts)
    times = _times(verdicts)
    counted = f"{passed} of {len(verdicts)} pass"
    if not times:
        return counted
    return (
        f"{counted}; seconds to the first right sentence: median {statistics.median(times):.1f} "
        f"(goal {MEDIAN_S:.0f}), worst {max(times):.1f} (goal {FIRST_WORD_S:.0f})"
    )


def _times(verdicts: Iterable[Verdict]) -> list[float]:
    return [verdict.first_word_s for verdict in verdicts if verdict.first_word_s is not None]


def _tried(root: Path, number: int, case: Case) -> Verdict:
    folder = root / f"{number:03d}"
    folder.mkdir(parents=True)
    verdict = try_out(case, folder)
    (folder / "printed.txt").write_text(verdict.printed)
    return verdict


def _told(verdict: Verdict, as_json: bool) -> Verdict:
    fields = {
        "case": verdict.case.title,
        "passes": not verdict.faults,
        "first_word_s": verdict.first_word_s,
        "said": verdict.said,
        "seconds": round(verdict.seconds, 1),
        "faults": verdict.faults,
    }
    print(json.dumps(fields) if as_json else row(verdict), flush=True)
    return verdict


if __name__ == "__main__":
    sys.exit(main())
