"""Learning curves as a table small enough for a repository: some rows of metrics, all evaluations.

python benchmarks/curve_table.py docs/curves/pong-ppo.csv "sticky 0=runs/pong-ppo/1" …
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

ROWS = 60
"""Maximum rows of metrics per run, evenly spaced, not counting the last one."""
COLUMNS = (
    "time_s",
    "env_steps",
    "updates",
    "return_mean",
    "greedy_mean",
    "entropy",
    "explained_variance",
    "approx_kl",
    "q_mean",
    "policy_lag_mean",
    "loss",
)


@click.command(help=__doc__)
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("runs", nargs=-1, required=True, metavar="NAME=RUN...")
def main(out: Path, runs: tuple[str, ...]) -> None:
    """Writes the table of the runs."""
    rows = []
    for run in runs:
        name, equals, folder = run.partition("=")
        if not equals:
            raise click.UsageError(f"{run!r} is not of the form NAME=RUN.")
        rows += [{"run": name, **row} for row in curve(Path(folder))]
    seen = [c for c in COLUMNS if any(row.get(c) is not None for row in rows)]
    with out.open("w", newline="") as file:
        table = csv.DictWriter(file, ["run", *seen], extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows({key: shown(value) for key, value in row.items()} for row in rows)


def curve(run: Path) -> list[dict[str, Any]]:
    """Rows of metrics and evaluations of a run directory, in order of env steps.

    An evaluation has the env steps of its weights and the time of its end. The one that solved is
    followed by the fresh evaluation of the same weights.
    """
    metrics = list(lines(run / "metrics.jsonl"))
    every = max(1, -(-len(metrics) // ROWS))
    kept = metrics[::every]
    if metrics and kept[-1] is not metrics[-1]:
        kept.append(metrics[-1])
    # An evaluation's return is greedy; that of a row of metrics is of training episodes.
    evaluations = [
        {"time_s": e["time_s"], "env_steps": e["env_steps"], "greedy_mean": e["return_mean"]}
        for e in lines(run / "evaluations.jsonl")
    ]
    return sorted(kept + evaluations, key=lambda row: row["env_steps"])


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSON-lines file; none if there is no file."""
    for line in path.read_text().splitlines() if path.exists() else ():
        # The file of a run that was killed, or is still going on, may end with half a line.
        with suppress(json.JSONDecodeError):
            yield json.loads(line)


def shown(value: Any) -> Any:
    """Four significant digits below 1,000, whole numbers above."""
    if not isinstance(value, float):
        return value
    return f"{value:.4g}" if abs(value) < 1000 else round(value)


if __name__ == "__main__":
    main()
