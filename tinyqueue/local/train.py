"""``tinyqueue train``: services, players and a learner on one machine, from one command."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinyqueue.algorithms.bare import BareAlgorithm
from tinyqueue.algorithms.default import with_default_algorithm
from tinyqueue.algorithms.horizon import beyond_horizon
from tinyqueue.algorithms.registry import find
from tinyqueue.bus.broker import Broker
from tinyqueue.bus.task_connection import TaskConnection
from tinyqueue.bus.task_sender import TaskSender
from tinyqueue.bus.topology import EVALUATE_QUEUE, tasks_exchange
from tinyqueue.celery import make_app
from tinyqueue.envs.build import slower_form
from tinyqueue.envs.describe import EnvironmentInfo, describe_in_child
from tinyqueue.envs.dropped import drop_notice
from tinyqueue.envs.names import find_environment, import_allowed
from tinyqueue.envs.reentry import training
from tinyqueue.errors import ConfigError, TinyqueueError, UnknownNameError
from tinyqueue.evaluation.games_process import GamesProcess
from tinyqueue.evaluation.which_returns import which_returns
from tinyqueue.experiment.components import chosen as named
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.learner.build import has_end, require_acting, stop_threshold
from tinyqueue.learner.service import LearnerService, Surroundings
from tinyqueue.local.fitting import fitted
from tinyqueue.local.interruption import Interruption, interruptible
from tinyqueue.local.players import LocalPlayers
from tinyqueue.local.serial import train_serial
from tinyqueue.local.services import Choice, local_services, resolve
from tinyqueue.models.default import with_default_model
from tinyqueue.models.keras_import import bytecode_advice
from tinyqueue.monitor.lasting_view import LastingView
from tinyqueue.monitor.view import View, shown
from tinyqueue.player.scripted import find_policy
from tinyqueue.run.network_folder import network_advice
from tinyqueue.run.outcome import Outcome
from tinyqueue.run.run_directory import RunDirectory
from tinyqueue.settings import Settings

ENV_STEPS = 1_000_000
"""Where training ends if neither the experiment nor its environment says."""
_SINGLE_PATIENCE_S = 120.0
"""The learner cannot evaluate when only one environment can exist; it waits for the player."""


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
    experiment = _with_an_end(experiment, run, view)
    _remark(experiment, run, view)
    with _described(experiment, settings, view) as environment:
        if experiment.unnamed_algorithm is not None:
            # The services know an experiment by its name, which may be that of its algorithm.
            experiment = _with_algorithm(experiment, environment.result(), run, view)
        if where.serial:
            info = environment.result()
            _require_serial(experiment, info)
            experiment = _as_found(experiment, info, run, view)
            for remark in info.trial.remarks if info.trial else ():
                view.message(remark)
            return train_serial(experiment, run, info, settings, view, interruption.take)
        with local_services(where.services, settings) as services:
            log = run.path / "players.log"

            def prepared() -> tuple[Experiment, EnvironmentInfo]:
                info = environment.result()
                found = _fitted(experiment, info, where.players, run, view)
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


def _with_an_end(experiment: Experiment, run: RunDirectory, view: View) -> Experiment:
    """The experiment with a limit if training would never end, which is told and saved."""
    if has_end(experiment, find_environment(experiment.environment.id)):
        return experiment
    view.message(
        f"{experiment.environment.id} has no return at which it is solved, so training ends after "
        f"{ENV_STEPS:,} env steps: --max-env-steps N or --stop-at-return R sets another end"
    )
    stop = experiment.stop.model_copy(update={"max_env_steps": ENV_STEPS})
    limited = replace(experiment, stop=stop)
    run.keep_document(limited.document())
    return limited


def with_end_of(experiment: Experiment, kept: Experiment) -> Experiment:
    """The experiment as it was limited for a run, if it may be the one that the run has kept."""
    if kept.stop.max_env_steps != ENV_STEPS or experiment.stop.max_env_steps is not None:
        return experiment
    stop = experiment.stop.model_copy(update={"max_env_steps": ENV_STEPS})
    return replace(experiment, stop=stop)


def _remark(experiment: Experiment, run: RunDirectory, view: View) -> None:
    """Says what makes training slower, pointless, or less safe than it has to be."""
    remarks = (
        bytecode_advice(),
        slower_form(experiment.environment),
        network_advice(run.path),
        which_returns(experiment),
        beyond_horizon(experiment.algorithm, experiment.stop.max_env_steps),
    )
    for remark in remarks:
        if remark:
            view.message(remark)


def _require_serial(experiment: Experiment, info: EnvironmentInfo) -> None:
    """Refuses what one process cannot do: evaluate next to a stage if only one can exist."""
    single = info.trial.single if info.trial else ""
    if single and (experiment.session.slots > 1 or stop_threshold(experiment, info) is not None):
        raise ConfigError(
            f"a second {info.id} cannot exist next to the first: {single}. With --serial all are "
            "in one process, and evaluation episodes are played next to those of training. Leave "
            "out --serial: one player then plays both in turn; or give each its own number with "
            '"{slot}" in environment.kwargs.'
        )


def _with_algorithm(
    experiment: Experiment, info: EnvironmentInfo, run: RunDirectory, view: View
) -> Experiment:
    """The experiment with the algorithm for its actions, which is told; the run has its name."""
    chosen = with_default_algorithm(experiment, info.action_space, info.observation_space)
    if chosen.algorithm_name == experiment.algorithm_name:
        return experiment
    kinds = ("observations", "rewards")
    normalised = [kind for kind in kinds if getattr(chosen.environment, f"normalise_{kind}")]
    how = f" with normalised {' and '.join(normalised)}" if normalised else ""
    view.message(
        f"{info.id}: actions are real numbers: {chosen.algorithm_name}{how}, not "
        f"{experiment.algorithm_name} (algorithm.name overrides this)"
    )
    if chosen.name == experiment.name:
        run.keep_document(chosen.document())
        return chosen
    run.rename(chosen.document())
    # The run's copy of the user's own model, if there is one, has moved with it.
    return replace(chosen, model_name=named(run.document(), "model"))


def _as_found(
    experiment: Experiment, info: EnvironmentInfo, run: RunDirectory, view: View
) -> Experiment:
    """The experiment with the model for its observations, and without parts that must be dropped.

    Both are told.

    Raises:
        ConfigError: Its algorithm cannot act in this environment.
    """
    require_acting(experiment, info)
    chosen = experiment
    if not issubclass(find(experiment.algorithm_name), BareAlgorithm):
        chosen = with_default_model(experiment, info.observation_space)
    if chosen.model_name != experiment.model_name:
        view.message(
            f"{experiment.environment.id} shows images, so its model is {chosen.model_name}: "
            'convolutions for them (model.name = "mlp" would flatten them)'
        )
        run.keep_document(chosen.document())
    experiment = chosen
    given = experiment.environment.drop or ()
    unasked = [path for path in info.drop if path not in given]
    if not unasked:
        return experiment
    view.message(drop_notice(experiment.environment.id, unasked))
    environment = experiment.environment.model_copy(update={"drop": info.drop})
    found = replace(experiment, environment=environment)
    run.keep_document(found.document())
    return found


def _fitted(
    experiment: Experiment, info: EnvironmentInfo, players: int, run: RunDirectory, view: View
) -> Experiment:
    """The experiment with its open settings chosen; the choices are reported and saved."""
    found = fitted(_as_found(experiment, info, run, view), info, players)
    for remark in found.remarks:
        view.message(remark)
    chosen = found.experiment
    if found.single:
        view.message(
            f"a second {info.id} cannot exist next to the first: {found.single}. So there is one "
            "player with one environment (--players 1, session.slots=1), which also plays the "
            'evaluation episodes. "{slot}" in environment.kwargs can give each its own number'
        )
        alone = chosen.environment.model_copy(update={"single": True})
        patient = chosen.evaluation.model_copy(update={"here_after_s": _SINGLE_PATIENCE_S})
        chosen = replace(chosen, environment=alone, evaluation=patient)
    if chosen.document() != experiment.document():
        run.keep_document(chosen.document())
    return chosen


def _starting(log: Path) -> str:
    return f"players and TensorFlow are starting; the players' log is {shown(log)}"


def _evaluating_itself(experiment: Experiment) -> Experiment:
    """For a single player: while it evaluated, training would get no sessions."""
    evaluation = experiment.evaluation.model_copy(update={"here_after_s": 0.0})
    return replace(experiment, evaluation=evaluation)


def make_learner(
    experiment: Experiment,
    run: RunDirectory,
    settings: Settings,
    view: View,
    prepared: Callable[[], tuple[Experiment, EnvironmentInfo]],
    players_log: Path | None = None,
) -> LearnerService:
    """A learner service that sends its tasks through Celery.

    Raises:
        ServiceUnreachableError: The broker or the store does not answer.
    """
    process = GamesProcess(settings.environment_modules, lambda: service.is_over)

    def games(
        weights: Any,
        spec: Any,
        graph: bytes,
        request: str,
        seed: int,
        actions: str,
        is_wanted: Callable[[], bool],
    ) -> Any:
        return process.play(
            service.experiment.evaluation, spec, weights, graph, request, seed, actions, is_wanted
        )

    broker = Broker(settings.broker)
    tasks = TaskSender(
        make_app(settings),
        TaskConnection(broker),
        experiment.session.queue,
        tasks_exchange(broker.kind),
    )
    service = LearnerService(
        experiment,
        run,
        Surroundings(
            settings=settings,
            prepared=prepared,
            tasks=tasks,
            play_here=games,
            view=view,
            players_log=players_log,
        ),
    )
    return service


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
