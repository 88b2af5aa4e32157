"""``tinyqueue train``: services, players and a learner on one machine, from one command."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tinyqueue.bus.topology import EVALUATE_QUEUE
from tinyqueue.envs.describe import EnvironmentInfo, describe_in_child
from tinyqueue.envs.names import find_environment, import_allowed
from tinyqueue.envs.reentry import training
from tinyqueue.errors import ConfigError, TinyqueueError, UnknownNameError
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.learner.build import stop_threshold
from tinyqueue.learner.service import LearnerService
from tinyqueue.local.choices import as_found, remark_on, with_algorithm, with_an_end, with_choices
from tinyqueue.local.fitting import shared_state
from tinyqueue.local.interruption import Interruption, interruptible
from tinyqueue.local.learner import make_learner
from tinyqueue.local.players import LocalPlayers
from tinyqueue.local.serial import train_serial
from tinyqueue.local.services import Choice, local_services, resolve
from tinyqueue.monitor.lasting_view import LastingView
from tinyqueue.monitor.view import View, shown
from tinyqueue.player.scripted import find_policy
from tinyqueue.run.outcome import Outcome
from tinyqueue.run.run_directory import RunDirectory
from tinyqueue.settings import Settings


@dataclass(frozen=True)
class Where:
    """How a run is laid out on this machine.

    Attributes:
        services: The broker and store to use.
        players: Pool children; 0 leaves playing to workers elsewhere.
        serial: Everything in one process, without broker and players.
    """

    services: Choice = "auto"
    players: int = 2
    serial: bool = False


def train(
    experiment: Experiment, run: RunDirectory, settings: Settings, view: View, where: Where
) -> Outcome:
    """Trains a run to its end, and ends everything that it started.

    While it trains, Ctrl-C, SIGTERM or SIGHUP saves and returns, as does a view that nobody reads
    any more. Before that a signal raises KeyboardInterrupt, and nothing is left running either.
    A new run that has not begun by then, or that is refused, is deleted.

    Raises:
        TinyqueueError: The experiment or the services cannot be used.
    """
    lasting = view if isinstance(view, LastingView) else LastingView(view)
    try:
        with (
            training(),
            interruptible() as interruption,
            interruption.told(lasting),
            lasting.tells(interruption.ask),
        ):
            return _train(experiment, run, settings, lasting, where, interruption)
    except (TinyqueueError, KeyboardInterrupt):
        run.discard_unless_begun()
        raise


def _train(
    experiment: Experiment,
    run: RunDirectory,
    settings: Settings,
    view: View,
    where: Where,
    interruption: Interruption,
) -> Outcome:
    _check(experiment, settings, where)
    experiment = with_an_end(experiment, run, view)
    remark_on(experiment, run, view)
    with _described(experiment, settings, view) as environment:
        if experiment.unnamed_algorithm is not None:
            # The services know an experiment by its name, which may be that of its algorithm.
            experiment = with_algorithm(experiment, environment.result(), run, view)
        if where.serial:
            info = environment.result()
            _require_serial(experiment, info)
            experiment = as_found(experiment, info, run, view)
            for remark in info.trial.remarks if info.trial else ():
                view.message(remark)
            return train_serial(experiment, run, info, settings, view, interruption.take)
        with local_services(where.services, settings) as services:
            log = run.path / "players.log"

            def prepared() -> tuple[Experiment, EnvironmentInfo]:
                info = environment.result()
                found = with_choices(experiment, info, where.players, run, view)
                if found.environment.single:
                    players.restart(1, (found.session.queue, EVALUATE_QUEUE))
                elif is_alone:
                    found = _evaluating_itself(found)
                if where.players:
                    # Not earlier: what cannot be built is refused before players are mentioned.
                    view.message(_starting(log))
                return found, info

            queue = experiment.session.queue
            is_alone = where.players == 1 and resolve(where.services, settings) != "configured"
            players = LocalPlayers(
                services.settings,
                where.players,
                (queue,) if is_alone else (queue, EVALUATE_QUEUE),
                log,
            )
            with players if where.players else _nobody():
                service = make_learner(
                    experiment,
                    run,
                    services.settings,
                    view,
                    prepared,
                    players_log=log if where.players else None,
                )
                with (
                    interruption.calls(service.stop, service.interrupt),
                    _watching(players, service),
                ):
                    outcome = service.run()
                if players.ended is not None and outcome.ended == "stopped":
                    raise TinyqueueError(
                        f"the local players ended by themselves: {players.ended}. "
                        f"Their whole output is in {log}."
                    )
                return outcome


def _check(experiment: Experiment, settings: Settings, where: Where) -> None:
    """Refuses what can be refused before anything is started."""
    import_allowed(settings.environment_modules)
    if experiment.session.policy is not None:
        find_policy(experiment.session.policy)
    find_environment(experiment.environment.id)
    if where.serial and experiment.environment.realtime:
        raise ConfigError(
            "environment.realtime with --serial: one process plays and trains in turn, so every "
            "update would hold the environment for as long as it takes. Leave out --serial, or "
            "set environment.realtime = false if the environment can wait."
        )
    if not where.serial and experiment.session.queue not in settings.play_queues:
        raise UnknownNameError(
            "play queue (TINYQUEUE_PLAY_QUEUES)", experiment.session.queue, settings.play_queues
        )


def _require_serial(experiment: Experiment, info: EnvironmentInfo) -> None:
    """Refuses what one process cannot do: evaluate next to a stage if only one can exist."""
    if info.trial is None:
        return
    single, entangled = info.trial.single, info.trial.entangled
    needs_two = experiment.session.slots > 1 or stop_threshold(experiment, info) is not None
    if entangled and needs_two:
        raise ConfigError(
            f"{shared_state(info.id)}. With --serial all are in one process, and evaluation "
            "episodes are played next to those of training. Leave out --serial: each player then "
            "has one environment."
        )
    if single and needs_two:
        raise ConfigError(
            f"a second {info.id} cannot exist next to the first: {single}. With --serial all are "
            "in one process, and evaluation episodes are played next to those of training. Leave "
            "out --serial: one player then plays both in turn; or give each its own number with "
            '"{slot}" in environment.kwargs.'
        )


def _starting(log: Path) -> str:
    return f"players and TensorFlow are starting; the players' log is {shown(log)}"


def _evaluating_itself(experiment: Experiment) -> Experiment:
    """For a single player: while it evaluated, training would get no sessions."""
    evaluation = experiment.evaluation.model_copy(update={"here_after_s": 0.0})
    return replace(experiment, evaluation=evaluation)


@contextmanager
def _described(
    experiment: Experiment, settings: Settings, view: View
) -> Iterator[Future[EnvironmentInfo]]:
    """The environment's description, made while other things start."""
    stopping = threading.Event()
    with ThreadPoolExecutor(1, thread_name_prefix="describe") as pool:
        try:
            yield pool.submit(
                describe_in_child,
                experiment.environment,
                settings.environment_modules,
                evaluated=experiment.evaluated,
                say=view.message,
                stopping=stopping,
            )
        finally:
            stopping.set()


@contextmanager
def _watching(players: LocalPlayers, service: LearnerService) -> Iterator[None]:
    """Ends training when the local players have ended, since nobody would play any more."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(1.0):
            if players.ended is not None:
                service.stop()
                return

    thread = threading.Thread(target=watch, name="watch-players", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _nobody() -> Iterator[None]:
    yield
