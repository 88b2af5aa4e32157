"""``tinyqueue diagnose``."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import click

from tinyqueue.algorithms.dead_units import dead_units
from tinyqueue.catalogue import of_run
from tinyqueue.cli.output import json_option, print_json, print_text
from tinyqueue.cli.paths import UserPath
from tinyqueue.cli.resuming import with_advice
from tinyqueue.cli.runs import require_run
from tinyqueue.errors import CheckpointError, NothingRecordedError
from tinyqueue.monitor.diagnosed_run import Run
from tinyqueue.monitor.diagnosis import diagnose
from tinyqueue.monitor.metrics import EvaluationField
from tinyqueue.monitor.recorded import complete_lines, read_recorded
from tinyqueue.monitor.view import number
from tinyqueue.run.checkpoints import CheckpointReader
from tinyqueue.run.outcome import read_outcome


@click.command("diagnose")
@click.argument("run", type=UserPath(path_type=Path))
@json_option()
def diagnose_run(run: Path, as_json: bool) -> None:
    """Say what stands out in RUN: why it may not have learned.

    Reads what the run recorded, and says what stands out with its number, and the setting to look
    at. docs/metrics.md explains each rule. The run may still be training.

    \b
    tinyqueue diagnose runs/cartpole-ppo/1
    """
    require_run(run)
    try:
        known = _read(run)
    except NothingRecordedError as error:
        raise with_advice(error) from error
    findings = diagnose(known)
    if as_json:
        found = [asdict(finding) for finding in findings]
        print_json(json.dumps({**_facts(known), "findings": found}))
        return
    print_text(_summary(known))
    for remark in known.remarks:
        print_text(f"noted at its end: {remark}")
    for finding in findings:
        print_text(f"\n{finding.seen}\n  {finding.advice}  [{finding.name}]")
    if not findings:
        print_text("\nit is too short to judge" if known.is_short else "\nnothing stands out")


def _read(run: Path) -> Run:
    evaluations = list(complete_lines(run / "evaluations.jsonl"))
    recorded, outcome = read_recorded(run), read_outcome(run)
    return Run(
        of_run(run),
        recorded,
        ended=outcome.get("ended", ""),
        reason=outcome.get("reason", ""),
        remarks=outcome.get("remarks") or (),
        level=evaluations[-1][EvaluationField.LEVEL] if evaluations else None,
        best=max((line[EvaluationField.RETURN_MEAN] for line in evaluations), default=None),
        dead_units=_dead_units(run),
    )


def _dead_units(run: Path) -> float | None:
    with suppress(CheckpointError):
        checkpoint = CheckpointReader(run / "checkpoints").newest()
        return dead_units(checkpoint.state) if checkpoint else None
    return None


def _facts(run: Run) -> dict[str, object]:
    return {
        "experiment": run.experiment.name,
        "env_steps": int(run.recorded.env_steps[-1]),
        "level": run.level,
        "best": run.best,
        "ended": run.ended,
        "reason": run.reason,
        "remarks": list(run.remarks),
        "dead_units": run.dead_units,
    }


def _summary(run: Run) -> str:
    recorded = run.recorded
    said = f"{run.experiment.name}: {recorded.env_steps[-1]:,.0f} env steps"
    if run.ended:
        said += f", last ended: {run.ended}"
    if run.best is None:
        return f"{said}, not evaluated"
    said += f", best evaluation {number(run.best, beside=run.level)}"
    return said if run.level is None else f"{said} of {number(run.level)}"
