"""``tinyqueue``: the group of all commands, and how errors are reported."""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import logging
import os
import sys
import threading
from importlib.metadata import version

import click

from tinyqueue.cli.corrected import corrected
from tinyqueue.cli.interrupted import stopped
from tinyqueue.cli.lazy import LazyGroup
from tinyqueue.cli.output import print_text
from tinyqueue.cli.terminal import (
    ending_in_order,
    is_of_output,
    let_go,
    open_missing,
    say,
    show_tracebacks,
)
from tinyqueue.errors import TinyqueueError
from tinyqueue.experiment.users_code import users_failure


@click.group(
    cls=LazyGroup,
    lazy={
        "train": (
            "tinyqueue.cli.train:train",
            "Train on this machine, with nothing else installed.",
        ),
        "learner": ("tinyqueue.cli.learner:learner", "Start, inspect or stop a learner service."),
        "evaluate": ("tinyqueue.cli.evaluate:evaluate", "Evaluate what a run has learned."),
        "record": ("tinyqueue.cli.record:record", "Film what a run has learned."),
        "export": (
            "tinyqueue.cli.export:export",
            "Make a small sample of what a run has learned, to share.",
        ),
        "info": ("tinyqueue.cli.info:info", "Show experiments, players, versions and the count."),
        "plot": ("tinyqueue.cli.plot:plot", "Draw the learning curve of one or more runs."),
        "diagnose": ("tinyqueue.cli.diagnose:diagnose_run", "Say why a run may not have learned."),
        "sessions": (
            "tinyqueue.cli.sessions:sessions",
            "List, show and export what players have sent.",
        ),
        "conformance": (
            "tinyqueue.cli.conformance:conformance",
            "Check messages of a player in another language.",
        ),
        "new": (
            "tinyqueue.cli.new:new",
            "Write an environment, algorithm or model to begin with.",
        ),
        "presets": (
            "tinyqueue.cli.presets:list_presets",
            "List the included experiments.",
        ),
    },
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(version("tinyqueue"), prog_name="tinyqueue")
def cli() -> None:
    """Deep reinforcement learning on whatever machines you have.

    Players are Celery workers: celery -A tinyqueue worker -Q play
    """
    from tinyqueue.cli.logs import log_to_stderr  # Not needed for --help: structlog is slow.

    log_to_stderr()


def main() -> None:
    """Entry point. Expected errors are reported in a sentence, without a traceback."""
    open_missing()
    code = 0
    try:
        with ending_in_order():
            code = _run()
        sys.stdout.flush()
    except OSError as error:
        if not is_of_output(error):
            raise
        code = 1
        if error.errno != errno.EPIPE:
            say(f"error: the output cannot be written: {error.strerror}.")
    finally:
        let_go()
    if code:
        sys.exit(code)


def program() -> None:
    """:func:`main` as a process, which ends even if an environment left threads running."""
    show_tracebacks()
    if sys.stderr is not None:
        # Native code of an environment may end this process: where it was called is told.
        faulthandler.enable(all_threads=False)
    code = 0
    try:
        main()
    except SystemExit as ended:
        if isinstance(ended.code, str):
            raise
        code = ended.code or 0
    main_thread = threading.main_thread()
    if any(not thread.daemon and thread is not main_thread for thread in threading.enumerate()):
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    if code:
        sys.exit(code)


def _run() -> int:
    """Runs the command of ``sys.argv`` and returns its exit code."""
    try:
        cli(standalone_mode=False)
    except TinyqueueError as error:
        click.secho("error: ", fg="red", bold=True, err=True, nl=False)
        print_text(error, err=True)
        command = corrected(error, sys.argv[1:])
        if command is not None:
            print_text("Write instead:", f"  {command}", err=True)
        return 1
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        say(stopped(error))
        return 130
    except Exception as error:
        text = users_failure(error)
        if text is None:
            raise
        click.secho("error: ", fg="red", bold=True, err=True, nl=False)
        print_text(text, err=True)
        return 1
    return 0


if __name__ == "__main__":
    program()
