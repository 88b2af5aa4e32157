"""``tinyqueue info``."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from tinyqueue.cli.output import json_option, print_json
from tinyqueue.cli.paths import UserPath
from tinyqueue.cli.runs import experiment_of, require_ledger
from tinyqueue.errors import ServiceUnreachableError
from tinyqueue.ledger.ledger import read_count
from tinyqueue.ledger.marks import by_reason
from tinyqueue.monitor.console import PrintableConsole
from tinyqueue.monitor.view import counted
from tinyqueue.run.notes import brief_note
from tinyqueue.run.outcome import read_outcome
from tinyqueue.settings import load_settings
from tinyqueue.store.client import connect
from tinyqueue.store.lease import read_lease
from tinyqueue.store.specs import SpecStore
from tinyqueue.store.status import StatusBoard
from tinyqueue.store.weights import WeightStore


@click.command()
@click.argument("run", type=UserPath(path_type=Path), required=False)
@json_option("Print one JSON object: experiment → facts.")
@click.option("--watch", is_flag=True, help="Refresh every second until Ctrl-C.")
def info(run: Path | None, as_json: bool, watch: bool) -> None:
    """Show experiments, learners, players, versions, lag, queue depth, and the count.

    The count accounts for every session batch that players made: attempted = accepted +
    set aside + dropped + missing (in flight, or lost with a player). With a RUN directory it is
    read from disk, without any service.
    """
    console = PrintableConsole()
    while True:
        found = _of_run(run) if run else _of_store()
        if as_json:
            print_json(json.dumps(found))
        else:
            if watch:
                console.clear()
            _show(console, found)
        if not watch:
            return
        time.sleep(1.0)


def _of_run(run: Path) -> dict[str, Any]:
    path = require_ledger(run, "count")
    facts: dict[str, Any] = {"run_directory": str(run), "count": read_count(path).document()}
    note = brief_note(run)
    if note:
        facts["note"] = note
    outcome = read_outcome(run)
    facts |= {key: outcome[key] for key in ("ended", "reason") if outcome.get(key)}
    return {experiment_of(run): {**facts, "remarks": outcome.get("remarks") or []}}


def _of_store() -> dict[str, Any]:
    try:
        redis = connect(load_settings().redis)
    except ServiceUnreachableError as error:
        raise ServiceUnreachableError(
            f"{error} A run of `tinyqueue train` has its own services, which end with it: "
            "tinyqueue info runs/<experiment>/<number> reads its count from disk."
        ) from error
    board = StatusBoard(redis)
    found = {}
    for name in SpecStore(redis).experiments():
        lease = read_lease(redis, name)
        found[name] = {
            **(board.read(name) or {}),
            "learner": str(lease) if lease else None,
            "head": WeightStore(redis, name).head(),
        }
    return found


def _show(console: PrintableConsole, found: dict[str, Any]) -> None:
    if not found:
        console.print("no experiment is known here. Start one: tinyqueue learner start FILE.toml")
    for name, facts in found.items():
        table = Table(title=name, title_justify="left", show_header=False, min_width=60)
        for key, text in _rows(facts):
            table.add_row(key, text)
        console.print(table)


def _rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    if "head" in facts:
        rows.append(("learner", facts["learner"] or "none"))
        rows.append(("newest version", str(facts["head"])))
    if "env_steps" in facts:
        age_s = time.time() - facts["written_s"]
        rows += [
            ("as of", f"{age_s:.0f} s ago"),
            ("environment", f"{facts['environment']} with {facts['algorithm']}"),
            ("run", f"{facts['run']}  {facts['run_directory']}"),
            ("players", f"{facts['players']}"),
            ("env steps", f"{facts['env_steps']:,}  ({facts['env_steps_per_s']:,.0f}/s)"),
            ("updates", f"{facts['updates']:,}  ({facts['updates_per_s']:,.1f}/s)"),
            ("return", _return(facts)),
            ("policy lag", f"{facts['policy_lag_mean']:.1f} versions"),
            ("queue depth", counted(facts["queue_depth"], "batch")),
        ]
    if "missed_ticks" in facts:
        p50, p99, worst = (f"{facts[f'action_ms_{name}']:.1f}" for name in ("p50", "p99", "worst"))
        rows.append(("action after", f"{p50} ms, p99 {p99} ms, worst {worst} ms"))
        missed, late = facts["missed_ticks"], facts["late_ticks"]
        rows.append(("missed ticks", f"{missed:,} by its own count, {late:,} late as measured"))
    if "replay_items" in facts:
        held = f"{facts['replay_items']:,.0f} items of {facts['replay_env_steps']:,.0f} env steps"
        rows.append(("replay", held))
    if "ended" in facts:
        why = f": {facts['reason']}" if "reason" in facts else ""
        rows.append(("last ended", f"{facts['ended']}{why}"))
    if "note" in facts:
        rows.append(("note", facts["note"]))
    rows += [("remark", text) for text in facts.get("remarks", ())]
    for text, count in facts.get("setbacks", {}).items():
        rows.append((counted(count, "time"), text))
    if "count" in facts:
        rows += _count_rows(facts["count"])
    return rows


def _return(facts: dict[str, Any]) -> str:
    mean = facts["return_mean"]
    if mean is None:
        return "no episode has ended yet"
    return f"{mean:,.1f}, mean of the last {min(100, facts['episodes'])} training episodes"


def _count_rows(count: dict[str, Any]) -> list[tuple[str, str]]:
    aside, dropped = count["set_aside"], count["dropped"]
    balance = "balanced" if count["unbalanced"] == 0 else f"OFF BY {count['unbalanced']}"
    withdrawn = count.get("withdrawn", 0)
    return [
        ("attempted", f"{count['attempted']:,}  ({balance})"),
        ("= accepted", f"{count['accepted']:,}"),
        ("+ set aside", f"{sum(aside.values()):,}  {by_reason(aside)}"),
        ("+ dropped", f"{sum(dropped.values()):,}  {by_reason(dropped)}"),
        ("+ missing", f"{count['missing']:,}  in flight, or lost with a player"),
        ("duplicates", f"{count['duplicates']:,}  recognised, not trained again"),
        *(
            [("withdrawn", f"{withdrawn:,}  of those accepted; a loss with them was not finite")]
            if withdrawn
            else []
        ),
    ]
