"""``tinyqueue plot``."""

from __future__ import annotations

from pathlib import Path

import click

from tinyqueue.cli.output import print_text
from tinyqueue.cli.paths import UserPath
from tinyqueue.cli.resuming import with_advice
from tinyqueue.cli.runs import require_run
from tinyqueue.cli.terminal import say
from tinyqueue.errors import ConfigError, NothingRecordedError
from tinyqueue.monitor.plots import plot_learning_curve


@click.command()
@click.argument("runs", nargs=-1, required=True, type=UserPath(path_type=Path))
@click.option(
    "--out",
    type=UserPath(path_type=Path),
    default=Path("learning_curve.png"),
    show_default=True,
    help="The PNG to write.",
)
@click.option(
    "--info",
    metavar="NAME",
    help="Draw this number of metrics.info instead of the return: KEY, its last value in an "
    "episode, or KEY_mean, its mean over the steps.",
)
def plot(runs: tuple[Path, ...], out: Path, info: str | None) -> None:
    """Draw the learning curves of RUNS in one image."""
    for run in runs:
        require_run(run)
    try:
        plot_learning_curve(list(runs), out, info=info, left_out=_say_left_out)
    except NothingRecordedError as error:
        raise with_advice(error) from error
    except OSError as error:
        raise ConfigError(
            f"{out} cannot be written: {error.strerror or error}. Give another file with --out."
        ) from error
    print_text(f"written: {out}")


def _say_left_out(run: Path) -> None:
    say(f"{run} holds no finished episode yet, so it is left out")
