"""``tinyqueue learner start|status|stop``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from tinyqueue.algorithms.default import as_begun, names_of
from tinyqueue.algorithms.initial_weights import KEY as INIT_FROM
from tinyqueue.cli.allowed import allowing
from tinyqueue.cli.endings import tell
from tinyqueue.cli.experiments import as_trained, headline, open_run
from tinyqueue.cli.interrupted import saying_what_is_kept
from tinyqueue.cli.options import Wanted, takes_experiment
from tinyqueue.cli.output import json_option, print_json, print_text
from tinyqueue.cli.runs import naming_modules
from tinyqueue.cli.views import view_beside
from tinyqueue.errors import ConfigError
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.experiment.file_names import label
from tinyqueue.local.choices import with_end_of
from tinyqueue.local.fitting import CHOSEN
from tinyqueue.local.train import Where
from tinyqueue.local.train import train as train_here
from tinyqueue.models.default import is_default_of
from tinyqueue.run.run_directory import RunDirectory
from tinyqueue.settings import PLAIN_URL, Settings, load_settings, unprotected
from tinyqueue.store.client import connect
from tinyqueue.store.lease import read_lease, request_stop
from tinyqueue.store.specs import SpecStore


@click.group()
def learner() -> None:
    """Start, inspect or stop a learner service.

    Broker and store come from TINYQUEUE_BROKER_URL and TINYQUEUE_REDIS_URL; the default is
    RabbitMQ and Redis on this machine.
    """


@learner.command()
@takes_experiment
@click.option("--new", is_flag=True, help="Start a new run instead of resuming the newest.")
@json_option("Print the result as one JSON object.")
def start(wanted: Wanted, new: bool, as_json: bool) -> None:
    """Train an experiment with the players of a broker, in the foreground.

    Resumes the experiment's newest run, if there is one. Players are Celery workers, on any
    machine, started before or after: celery -A tinyqueue worker -Q play
    """
    settings = load_settings()
    run, experiment, source = _run_of(wanted, settings, new)
    view = view_beside(as_json)
    for url in unprotected(settings):
        view.message(f"{url}: {PLAIN_URL}")
    # A new run is named once it trains: one that is refused leaves no directory behind.
    view.message(headline(experiment, source if run.is_new else f"{source}; {run.path}"))
    try:
        settings = allowing(settings, experiment.environment.id)
        with naming_modules(run.path), saying_what_is_kept(lambda: run.path):
            outcome = train_here(experiment, run, settings, view, Where("configured", players=0))
        view.stop()
        resume = ("tinyqueue", "learner", "start", "--resume")
        tell(outcome, run.path, as_trained(experiment, run.path), resume=resume, as_json=as_json)
    finally:
        view.stop()
        run.close()
    if outcome.ended == "failed":
        sys.exit(1)


@learner.command()
@click.argument("experiment", required=False)
@json_option("As a JSON object: experiment → learner.")
def status(experiment: str | None, as_json: bool) -> None:
    """Show which learner trains EXPERIMENT, or every experiment."""
    redis = connect(load_settings().redis)
    names = [experiment] if experiment else SpecStore(redis).experiments()
    leases = {name: read_lease(redis, name) for name in names}
    if as_json:
        found = {n: vars(lease) if lease else None for n, lease in leases.items()}
        print_json(json.dumps(found))
        return
    if not leases:
        print_text("no experiment is known here. Start one with: tinyqueue learner start FILE.toml")
    for name, lease in leases.items():
        print_text(f"{name}: {lease if lease else 'no learner'}")


@learner.command()
@click.argument("experiment")
def stop(experiment: str) -> None:
    """Ask the learner of EXPERIMENT to save and stop, wherever it runs."""
    asked = request_stop(connect(load_settings().redis), experiment)
    if asked is None:
        raise ConfigError(f"no learner trains {experiment!r}; `tinyqueue info` lists experiments.")
    print_text(f"asked {asked} to stop; it saves a checkpoint and ends within seconds.")


def _run_of(wanted: Wanted, settings: Settings, new: bool) -> tuple[RunDirectory, Experiment, str]:
    if wanted.resume is not None:
        if new:
            raise ConfigError("give either --new or --resume RUN, not both.")
        return wanted.resumed()
    experiment, source = wanted.experiment()
    newest = _newest(wanted.runs_dir or settings.runs_dir, names_of(experiment))
    if new or newest is None:
        settings = allowing(settings, experiment.environment.id)
        return *wanted.new_run(settings, experiment), source
    run, kept, older = open_run(newest)
    experiment = as_begun(with_end_of(experiment, kept), kept)
    wants = wanted.init_from and str(wanted.init_from.resolve())
    if wants and run.info().get(INIT_FROM) != wants:
        run.close()
        raise ConfigError(
            f"{newest}, the newest run, was not started from {wanted.init_from}. Give --new to "
            "start another, or leave out --init-from to resume it."
        )
    differ = _differences(_as_given(kept, experiment), experiment.document())
    if differ:
        run.close()
        raise ConfigError(
            f"{newest} was started with other settings than those given now: {differ}. "
            f"Resume it unchanged with --resume {newest}, or start a new run with --new."
        )
    wanted.keep_note(run)
    # The run's own experiment, with what was chosen when it began.
    return run, kept, f"{source}; {older}" if older else source


def _newest(runs: Path, names: Sequence[str]) -> Path | None:
    """The newest run of an experiment with one of these names: the one that was used last."""
    found = [path for name in names if (path := RunDirectory.newest(runs, name))]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def _differences(kept: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """The settings that differ, with both values; empty if none does."""
    old, new = _flat(kept), _flat(given)
    names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    said = [f"{name} was {_said(old, name)} and is {_said(new, name)}" for name in names[:3]]
    more = f", and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(said) + more


def _flat(document: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = value
    return found


def _said(settings: Mapping[str, Any], name: str) -> str:
    return repr(settings[name]) if name in settings else "not set"


def _as_given(kept: Experiment, given: Experiment) -> dict[str, Any]:
    """A run's experiment, with settings chosen at its start left open where they are open now."""
    document, now = kept.document(), given.document()
    for kind in ("algorithm", "model"):
        # The run's copy stands for the file.
        if label(document[kind]["name"]) == label(now[kind]["name"]):
            document[kind]["name"] = now[kind]["name"]
    if is_default_of(given, kept):
        document["model"] = now["model"]
    for name, keys in CHOSEN.items():
        is_open = [key for key in keys if key not in getattr(given, name).model_fields_set]
        left = {key: value for key, value in document[name].items() if key not in is_open}
        document[name] = left | {key: now[name][key] for key in is_open if key in now[name]}
    return document
