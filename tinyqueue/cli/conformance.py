"""``tinyqueue conformance``."""

from __future__ import annotations

from pathlib import Path

import click

from tinyqueue.cli.output import print_text
from tinyqueue.cli.paths import UserPath
from tinyqueue.errors import ConfigError, MessageError
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.learned import load
from tinyqueue.policy.spec_contract import contract_of
from tinyqueue.settings import load_settings
from tinyqueue.store.client import connect
from tinyqueue.store.specs import SpecStore
from tinyqueue.wire.conformance import Conformance
from tinyqueue.wire.recorded import read_recorded


@click.command()
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE…",
    type=UserPath(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "--run",
    type=UserPath(path_type=Path),
    help="The run directory, or sample, with the spec that the messages were played by.",
)
@click.option("--experiment", help="An experiment whose spec is in Redis, instead of --run.")
def conformance(files: tuple[Path, ...], run: Path | None, experiment: str | None) -> None:
    """Check recorded messages of a player against an experiment's spec.

    Each FILE holds messages as docs/wire.md describes: msgpack arrays [1, properties, headers,
    body], one after the other, in the order in which they were published. The first fault is named,
    and the exit code is then 1.
    """
    spec = _spec(run, experiment)
    checks = Conformance(contract_of(spec, needs_carry=True), spec.version)
    for file in files:
        count = _check(file, checks)
        plural = "" if count == 1 else "s"
        print_text(f"{file}: {count:,} message{plural} of {spec.experiment!r}: all conform")


def _check(file: Path, checks: Conformance) -> int:
    count = 0
    try:
        for message in read_recorded(file.read_bytes()):
            checks.check(message)
            count += 1
    except MessageError as error:
        raise ConfigError(
            f"message {count + 1} of {file} does not conform: {error}. docs/wire.md has the rule; "
            f"the {count:,} before it conform."
        ) from error
    if not count:
        raise ConfigError(f"{file} holds no message. Record some as docs/wire.md describes.")
    return count


def _spec(run: Path | None, experiment: str | None) -> PlaySpec:
    if (run is None) == (experiment is None):
        raise ConfigError(
            "messages are checked against a spec: give either --run RUN or --experiment NAME."
        )
    if run is not None:
        return load(run).spec
    assert experiment is not None
    spec = SpecStore(connect(load_settings().redis)).load(experiment)
    if spec is None:
        raise ConfigError(
            f"{experiment!r} has no spec in Redis. `tinyqueue info` lists experiments; a learner "
            "publishes the spec when it starts."
        )
    return spec
