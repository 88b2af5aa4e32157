"""``tinyqueue sessions list|show|export``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from tinyqueue.catalogue import of_run
from tinyqueue.cli.advised import command
from tinyqueue.cli.output import json_option, print_json, print_text
from tinyqueue.cli.paths import UserPath
from tinyqueue.cli.runs import require_ledger
from tinyqueue.cli.session_export import export as export_to
from tinyqueue.cli.session_table import column_title, tick_rows
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Arrays
from tinyqueue.errors import CheckpointError, ConfigError, MessageError
from tinyqueue.experiment.documents import read_document
from tinyqueue.ledger.session_log import LogEntry, LoggedSession, SessionLog
from tinyqueue.monitor.console import PrintableConsole
from tinyqueue.monitor.view import counted
from tinyqueue.run.checkpoints import CheckpointReader

_RUN = click.argument("run", type=UserPath(path_type=Path))
_JSON = json_option()


@click.group()
def sessions() -> None:
    """Inspect the session batches that a run keeps.

    With a replay these are all that training may still draw from; otherwise one per minute is
    kept. A learner that writes at the same time is not disturbed.
    """


@sessions.command("list")
@_RUN
@click.option(
    "--last", type=click.IntRange(1), default=20, show_default=True, help="How many to list."
)
@_JSON
def list_sessions(run: Path, last: int, as_json: bool) -> None:
    """List the newest session batches of RUN, oldest first."""
    with _open(run) as log:
        numbers = log.numbers
        entries = [_facts(entry) for entry in log.entries(start=numbers.stop - last)]
        skipped = dict(log.skipped)
    if as_json:
        held = {"held": len(numbers), "sessions": entries, "skipped": skipped}
        print_json(json.dumps(held))
        return
    verb = "is" if len(numbers) == 1 else "are"
    title = f"{counted(len(numbers), 'session batch')} {verb} held"
    table = Table(title=title, title_justify="left")
    for column in ("number", "batch", "policy version", "ticks x slots", "env steps", "kB"):
        is_id = column == "batch"
        table.add_column(column, justify="left" if is_id else "right", overflow="fold")
    for facts in entries:
        shape = f"{facts['ticks']} x {facts['slots']}"
        row = (facts["number"], facts["batch_id"], facts["policy_version"], shape)
        table.add_row(*map(str, row), f"{facts['env_steps']:,}", f"{facts['bytes'] / 1000:,.1f}")
    PrintableConsole().print(table)
    _say_skipped(skipped)
    every_s = _kept_every_s(run)
    if every_s is not None:
        print_text(f"without a replay, one session batch in {every_s:g} s is kept")


@sessions.command()
@_RUN
@click.argument("which", default="newest", metavar="[NUMBER|BATCH_ID|newest]")
@click.option("--slot", type=click.IntRange(0), default=0, show_default=True, help="Slot to show.")
@click.option("--ticks", "wanted", metavar="A:B", default=":", help="From tick A to before tick B.")
@click.option(
    "--with-checkpoint",
    is_flag=True,
    help="Add the values of the newest checkpoint's critic at every tick. Needs TensorFlow.",
)
@_JSON
def show(
    run: Path, which: str, slot: int, wanted: str, with_checkpoint: bool, as_json: bool
) -> None:
    """Show what was recorded at every tick of one session batch of RUN.

    Its number and id are those of `tinyqueue sessions list`.
    """
    with _open(run) as log:
        row = _find(log, run, which)
    batch = _decoded(row)
    if slot >= batch.slots:
        raise ConfigError(f"there is no slot {slot}: batch {row.number} has {batch.slots} slots.")
    ticks = _range(wanted, batch.ticks)
    critic = _judged(run, batch) if with_checkpoint else None
    rows = tick_rows(batch, slot, ticks, critic)
    header = batch.header
    facts = {
        "number": row.number,
        "batch_id": row.batch_id,
        "policy_version": header.policy_version,
        "player": header.player,
        "slot": slot,
        "epsilon": header.epsilons[slot] if header.epsilons else None,
    }
    if as_json:
        print_json(json.dumps({**facts, "ticks": rows}))
    else:
        print_text(*_title(facts))
        PrintableConsole().print(_table(rows))


@sessions.command()
@_RUN
@click.argument("file", type=UserPath(path_type=Path))
@click.argument("numbers", nargs=-1, type=click.IntRange(1))
def export(run: Path, file: Path, numbers: tuple[int, ...]) -> None:
    """Write session batches of RUN to FILE.npz: all that are held, or those with NUMBERS.

    numpy.load(FILE)["numbers"] names them; the arrays of batch 7 are "7/rewards",
    "7/observations", "7/actions" and so on, and "7/header" is JSON.
    """
    if file.suffix != ".npz":
        raise ConfigError(f"{file} does not end in .npz. numpy.load goes by that.")
    with _open(run) as log:
        written = export_to(file, _chosen(log, run, numbers) if numbers else log.batches())
        skipped = dict(log.skipped)
    print_text(f"written: {file} with {counted(len(written), 'session batch')}")
    _say_skipped(skipped)


def _kept_every_s(run: Path) -> float | None:
    """Seconds between the batches that a run without a replay keeps; None for other runs."""
    try:
        document = read_document(run / "experiment.toml")
    except ConfigError:
        return None
    every_s = document.get("learner", {}).get("log_sessions_every_s")
    return None if "replay" in document else every_s


def _open(run: Path) -> SessionLog:
    return SessionLog(require_ledger(run, "session log"))


def _facts(entry: LogEntry) -> dict[str, Any]:
    said = {key: entry.headers.get(key) for key in ("policy_version", "player", "ticks", "slots")}
    return {
        "number": entry.number,
        "batch_id": entry.batch_id,
        "env_steps": entry.env_steps,
        **said,
        "bytes": entry.body_bytes,
    }


def _find(log: SessionLog, run: Path, which: str) -> LoggedSession:
    numbers = log.numbers
    if not numbers:
        raise ConfigError(f"{run} holds no session batch. Wait until its players have sent some.")
    if which == "newest":
        number: int | None = numbers[-1]
    else:
        number = int(which) if which.isdecimal() else log.find(which)
    row = None if number is None else log.read(number)
    if number in log.skipped:
        raise ConfigError(f"session batch {number} of {run} is damaged: {log.skipped[number]}.")
    if row is None:
        raise ConfigError(
            f"{run} does not hold session batch {which}; it holds numbers {numbers[0]} to "
            f"{numbers[-1]}. See: {command('tinyqueue', 'sessions', 'list', run)}"
        )
    return row


def _decoded(row: LoggedSession) -> SessionBatch:
    try:
        return row.decode()
    except MessageError as error:
        raise ConfigError(
            f"session batch {row.number} cannot be read: {error}. "
            "Read it with the tinyqueue version that wrote it."
        ) from error


def _chosen(
    log: SessionLog, run: Path, numbers: tuple[int, ...]
) -> Iterator[tuple[int, SessionBatch]]:
    for row in [_find(log, run, str(number)) for number in sorted(set(numbers))]:
        yield row.number, _decoded(row)


def _range(wanted: str, ticks: int) -> range:
    first, colon, last = wanted.partition(":")
    try:
        if not colon:
            raise ValueError
        chosen = range(ticks)[int(first) if first else None : int(last) if last else None]
    except ValueError as error:
        raise ConfigError(f"--ticks {wanted} is not A:B, such as 10:20, :20 or -5:.") from error
    if not chosen:
        raise ConfigError(
            f"--ticks {wanted} leaves no tick: A:B is from A to before B, and this batch has "
            f"ticks 0 to {ticks - 1}. Write for example 0:{min(ticks, 10)}."
        )
    return chosen


def _judged(run: Path, batch: SessionBatch) -> Arrays:
    from tinyqueue.evaluation.critic import Critic

    checkpoint = CheckpointReader(run / "checkpoints").newest()
    if checkpoint is None:
        raise CheckpointError(f"{run} has no checkpoint yet. Leave out --with-checkpoint.")
    experiment = of_run(run)
    return Critic(experiment, checkpoint).judge(batch)


def _title(facts: dict[str, Any]) -> tuple[str, str]:
    exploring = "" if facts["epsilon"] is None else f", ε {facts['epsilon']:.3g}"
    return (
        f"{facts['number']}: {facts['batch_id']}, by {facts['player']}",
        f"slot {facts['slot']}, policy version {facts['policy_version']}{exploring}",
    )


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table()
    for name in rows[0] if rows else ():
        table.add_column(
            column_title(name), justify="left" if name == "end" else "right", overflow="fold"
        )
    for row in rows:
        table.add_row(*map(_shown, row.values()))
    return table


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _say_skipped(skipped: dict[int, str]) -> None:
    for number, why in skipped.items():
        print_text(f"session batch {number} is left out, since it cannot be read: {why}", err=True)
