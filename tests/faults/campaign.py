"""A random schedule of faults against two experiments on real RabbitMQ and Redis servers.

    python tests/faults/campaign.py --faults 300 --seed 1 --json report.json

The servers have the configuration and the logins of ``config/services``. Three workers play for a
learner of a stream and a learner with a replay, which are started again when they end. Afterwards
the players' journals are held against the ledgers. The exit code is 0 if nothing was lost, accepted
twice or invented, versions rose, nothing ended without need, and recovery was fast enough.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path


def main() -> int:
    """Runs it. Returns the exit code."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
    from fault_campaign.campaign import PATIENCE_S, run_campaign
    from fault_campaign.table import FAULTS, schedule

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--faults", type=int, default=26, metavar="N", help="how many")
    parser.add_argument("--seed", type=int, help="of a schedule to repeat; random otherwise")
    parser.add_argument("--only", action="append", default=[], choices=FAULTS, metavar="NAME")
    parser.add_argument("--short", action="store_true", help="no fault lasts longer than 3 s")
    parser.add_argument(
        "--lasts", type=float, metavar="S", help="how long each fault lasts that lasts at all"
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=PATIENCE_S,
        metavar="S",
        help="seconds after which an experiment counts as standing still for good",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the report")
    parser.add_argument("--folder", type=Path, help="for logs and runs; a temporary one otherwise")
    parser.add_argument("--list", action="store_true", help="show all faults and end")
    given = parser.parse_args()
    if given.list:
        for fault in FAULTS.values():
            print(f"{fault.name:22} {fault.kind:8} {fault.what}")
        return 0
    seed = random.randrange(2**31) if given.seed is None else given.seed
    folder = (given.folder or Path(tempfile.mkdtemp(prefix="tinyqueue-faults-"))).absolute()
    print(f"--faults {given.faults} --seed {seed}; logs in {folder}", flush=True)
    planned = schedule(given.faults, seed, given.only, short=given.short, lasts_s=given.lasts)
    report = run_campaign(
        planned, seed, folder, lambda line: print(line, flush=True), patience_s=given.patience
    )
    if given.json:
        given.json.write_text(f"{json.dumps(report.document(), indent=1)}\n")
    print(f"\n{report.table()}\n\n{report.totals()}")
    wrong = [*report.wrong, *report.slow_kinds()]
    print("\n".join(["", *wrong, f"{len(wrong)} wrong; logs in {folder}"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
