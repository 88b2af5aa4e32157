"""Env steps trained on per second: tinyqueue against other libraries, on two cores, in one run.

    python benchmarks/peers.py cartpole [--seconds 20] [--repeats 3] [--json]
    python benchmarks/peers.py pong [--seconds 60] [--repeats 3] [--json]

Every library gets its own virtual environment below ``--cache``, created in the first run. They
take turns, so that a machine that slows down affects all of them; medians are compared. If one
cannot be installed or run, the reason is reported and the exit status is 1.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from peer_contestants import OURS, SECONDS, WORKS, Contestant
from peer_processes import PeerError, install, measure

CORES = 2


@click.command(help=__doc__)
@click.argument("work", type=click.Choice(sorted(WORKS)))
@click.option("--seconds", type=click.FloatRange(min=1), help="20 for CartPole, 60 for Pong.")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--cache", type=click.Path(path_type=Path), default=Path(".bench-envs"))
@click.option("--only", multiple=True, help="Part of a contestant's name; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def main(
    work: str,
    seconds: float | None,
    repeats: int,
    cache: Path,
    only: tuple[str, ...],
    as_json: bool,
) -> None:
    """Measures all contestants in turn and prints their medians."""
    seconds = seconds or SECONDS[work]
    contestants = [
        c for c in WORKS[work]() if not only or any(o.lower() in c.name.lower() for o in only)
    ]
    if not contestants:
        raise click.UsageError(f"--only {' '.join(only)} leaves nothing to measure.")
    use_cores(CORES)
    prepare(contestants, cache.resolve())
    compete(contestants, cache.resolve(), seconds, repeats)
    document = report(work, contestants, seconds, repeats)
    click.echo(json.dumps(document) if as_json else table(document))
    sys.exit(1 if any(c.failed for c in contestants) else 0)


def use_cores(count: int) -> None:
    """Restricts this process and its children to ``count`` cores, if the system supports that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def prepare(contestants: Sequence[Contestant], cache: Path) -> None:
    """Installs each environment once. If one fails, so do all contestants that need it."""
    reasons: dict[str, str] = {"": ""}
    for contestant in contestants:
        name = contestant.environment
        if name not in reasons:
            say(f"preparing {cache / name}: {', '.join(contestant.requirements)}")
            try:
                install(cache / name, contestant.requirements)
                reasons[name] = ""
            except PeerError as error:
                reasons[name] = str(error)
                say(f"  {error}")
        contestant.failed = reasons[name]


def compete(contestants: Sequence[Contestant], cache: Path, seconds: float, repeats: int) -> None:
    """Measures all contestants in turn, ``repeats`` times."""
    for repeat in range(repeats):
        for contestant in contestants:
            if contestant.failed:
                continue
            there = cache / contestant.environment / "bin" / "python"
            python = there if contestant.environment else Path(sys.executable)
            try:
                contestant.details = measure(python, contestant.command, seconds)
                contestant.runs.append(float(contestant.details["env_steps_per_s"]))
            except PeerError as error:
                contestant.failed = str(error)
            result = contestant.failed or f"{contestant.runs[-1]:,.0f} env steps/s"
            say(f"[{repeat + 1}/{repeats}] {contestant.name}, {contestant.settings}: {result}")


def report(
    work: str, contestants: Sequence[Contestant], seconds: float, repeats: int
) -> dict[str, Any]:
    """All results as plain values; ``ratio`` is ours divided by theirs."""
    ours = next((c.median for c in contestants if c.name == OURS), None)
    return {
        "work": work,
        "seconds": seconds,
        "repeats": repeats,
        "cores": CORES,
        "results": [
            {
                "name": c.name,
                "settings": c.settings,
                "env_steps_per_s": c.median,
                "runs": c.runs,
                "ratio": ours / c.median if ours and c.median else None,
                "failed": c.failed or None,
                "details": c.details,
            }
            for c in contestants
        ],
    }


def table(document: dict[str, Any]) -> str:
    """The results as a Markdown table, ready for docs/benchmarks.md."""
    lines = [
        f"{document['work']}: median of {document['repeats']} runs of {document['seconds']:g} s, "
        f"{document['cores']} cores",
        "",
        "| library | settings | env steps/s | lowest–highest | tinyqueue is faster by |",
        "|---|---|---|---|---|",
    ]
    for result in document["results"]:
        name, settings = result["name"], result["settings"]
        if result["failed"]:
            lines.append(f"| {name} | {settings} | failed: {result['failed']} | | |")
            continue
        peer = not name.startswith(OURS)
        ratio = f"{result['ratio']:.1f} ×" if result["ratio"] and peer else ""
        span = f"{min(result['runs']):,.0f}–{max(result['runs']):,.0f}"
        lines.append(
            f"| {name} | {settings} | {result['env_steps_per_s']:,.0f} | {span} | {ratio} |"
        )
    return "\n".join(lines)


def say(text: str) -> None:
    """Prints to standard error: standard output is for results."""
    click.echo(text, err=True)


if __name__ == "__main__":
    main()
