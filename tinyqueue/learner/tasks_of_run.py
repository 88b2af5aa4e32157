"""Play and evaluation tasks of one run: what requests them, and what they contain."""

from __future__ import annotations

import math
from collections.abc import Callable

from tinyqueue.bus.feed import TaskFeed
from tinyqueue.bus.task_sender import EXPIRES_S
from tinyqueue.data.identity import new_id
from tinyqueue.errors import ConfigError, NotNowError, TinyqueueError
from tinyqueue.evaluation.games import most_steps
from tinyqueue.evaluation.inbox import Inbox
from tinyqueue.evaluation.remote_games import IsWanted, RemoteGames
from tinyqueue.evaluation.score import MOST_STEPS, TIMEOUT_S
from tinyqueue.experience.setbacks import Setbacks
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.experiment.sections import EvaluationConfig
from tinyqueue.learner.reporter import Reporter
from tinyqueue.learner.surroundings import PlayHere, Tasks
from tinyqueue.wire.evaluations import EvaluationResult
from tinyqueue.wire.failures import ENDED, TaskFailure
from tinyqueue.wire.weights import WeightVersion

_MOST_SENT = 4096
"""Task ids remembered: far more than are outstanding at a time."""


class SentTasks:
    """The ids of the newest tasks that this learner has sent. Safe in two threads."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def note(self, task: str) -> None:
        """Notes a task that is being sent."""
        self._ids[task] = None
        if len(self._ids) > _MOST_SENT:
            del self._ids[next(iter(self._ids))]

    def __contains__(self, task: object) -> bool:
        return task in self._ids


def task_feed(
    tasks: Tasks,
    spec: PlaySpec,
    is_ahead: Callable[[], bool],
    note: Callable[[str], None] = lambda _: None,
) -> TaskFeed:
    """Keeps play tasks for this spec outstanding, fewer while players are ahead of training.

    Args:
        tasks: Sends them.
        spec: What they play.
        is_ahead: Whether players are ahead of training.
        note: Called with the id of every task before it is sent.
    """

    def send() -> str:
        task_id = new_id()
        note(task_id)
        tasks.play(
            task_id,
            experiment=spec.experiment,
            run=spec.run,
            spec_version=spec.version,
            budget_s=spec.task_budget_s,
            limit_s=spec.task_limit_s,
        )
        return task_id

    # A task of an environment that owns its clock lasts for an episode. The broker lets those that
    # wait behind it expire.
    lasts_s = min(spec.task_limit_s, EXPIRES_S) if spec.environment.realtime else 0.0
    return TaskFeed(
        send,
        budget_s=spec.task_budget_s,
        limit_s=spec.task_limit_s,
        is_ahead=is_ahead,
        lasts_s=lasts_s,
    )


def task_chore(
    feed: TaskFeed, reporter: Reporter, is_needed: Callable[[], bool]
) -> Callable[[], None]:
    """What to do periodically so that players have tasks, and a lack of players is told.

    Args:
        feed: Keeps tasks outstanding.
        reporter: Tells the user.
        is_needed: Whether experience is wanted now: after the last env step it is not, and
            evaluation needs the cores.
    """
    lacking = ""

    def do() -> None:
        nonlocal lacking
        if not is_needed():
            return
        try:
            feed.tick()
        except (ConfigError, NotNowError) as error:
            reporter.no_tasks = str(error)
            if isinstance(error, ConfigError) and str(error) != lacking:
                lacking = str(error)
                reporter.message(lacking)
            raise
        lacking = reporter.no_tasks = ""
        if told := feed.silence_told(is_evaluating=reporter.is_evaluating):
            reporter.message(told)

    return do


def remote_games(
    tasks: Tasks,
    spec: PlaySpec,
    graph: bytes,
    config: EvaluationConfig,
    *,
    pin: Callable[[int, float], None],
    play_here: PlayHere,
    max_abs_reward: float = math.inf,
    own_login: str = "",
    note: Callable[[str], None] = lambda _: None,
) -> RemoteGames:
    """Has workers play this run's evaluations; without workers, ``play_here`` does.

    Args:
        tasks: Sends evaluation tasks.
        spec: What is played.
        graph: The acting graph.
        config: Settings of evaluations.
        pin: Keeps a weight version in the store for some seconds.
        play_here: Plays an evaluation on this machine.
        max_abs_reward: Largest magnitude of a reward in training; infinity without a bound.
        own_login: The learner's broker login; empty on Redis, where all share one.
        note: Called with the id of every request before it is sent.
    """

    def send(request: str, version: int, seed: int, actions: str) -> None:
        others: dict[str, str | float] = {}
        if actions != "greedy":
            others["actions"] = actions
        if config.max_steps_per_game != MOST_STEPS:
            others["max_steps"] = config.max_steps_per_game
        if config.timeout_s != TIMEOUT_S:
            others["timeout_s"] = config.timeout_s
        note(request)
        tasks.evaluate(
            request,
            experiment=spec.experiment,
            run=spec.run,
            version=version,
            episodes=config.episodes,
            slots=config.slots,
            seed=seed,
            **others,
        )

    def play(
        weights: WeightVersion, request: str, seed: int, actions: str, is_wanted: IsWanted
    ) -> EvaluationResult:
        return play_here(weights, spec, graph, request, seed, actions, is_wanted)

    inbox = Inbox(spec.experiment, spec.run, own_login)
    return RemoteGames(
        config,
        inbox,
        pin=pin,
        send=send,
        play_here=play,
        is_single=spec.environment.single,
        max_steps=known_most_steps(spec.evaluated, config.max_steps_per_game),
        max_abs_reward=max_abs_reward,
    )


def known_most_steps(environment: EnvironmentConfig, without: int) -> int | None:
    """Env steps at which a game is ended; None where only workers know the environment.

    Args:
        environment: Where games are played.
        without: What is true of an environment without a limit of its own.
    """
    try:
        return most_steps(environment, without)
    except TinyqueueError:
        return None


def failure_listener(
    feed: TaskFeed,
    games: RemoteGames,
    setbacks: Setbacks,
    sent: SentTasks,
    asked: SentTasks,
) -> Callable[[TaskFailure, str], None]:
    """What to call with every task that could not be played, and the player's login.

    Args:
        feed: Counts play tasks.
        games: Waits for evaluations.
        setbacks: Shows failures to the user.
        sent, asked: The play tasks and the evaluations that this learner has sent.
    """

    def failed(failure: TaskFailure, login: str) -> None:
        if failure.kind.startswith(ENDED):
            # Its task, or its evaluation, comes again.
            feed.player_ended(login, failure.player)
            is_ours = failure.task in sent or failure.task in asked
            setbacks.failed(failure, login, was_sent=is_ours)
            return
        if failure.task in asked:
            setbacks.not_evaluated(failure, login)
            games.failed(failure.task)
            return
        if failure.ended:
            feed.failed(login, failure.task)
        setbacks.failed(failure, login, was_sent=failure.task in sent)

    return failed
