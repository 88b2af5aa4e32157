"""What the tasks of a run say."""

from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import numpy as np

from tinyqueue.errors import ConfigError, ServiceUnreachableError, TinyqueueError
from tinyqueue.experience.setbacks import Setbacks
from tinyqueue.experiment.sections import EvaluationConfig
from tinyqueue.learner.surroundings import Tasks
from tinyqueue.learner.tasks_of_run import (
    SentTasks,
    failure_listener,
    remote_games,
    task_chore,
    task_feed,
)
from tinyqueue.wire.evaluations import EvaluationResult
from tinyqueue.wire.failures import ENDED, TaskFailure

WEIGHTS: Any = SimpleNamespace(version=9)
UNUSED: Any = None  # must not be called


class Sent(Tasks):
    def __init__(self):
        self.played, self.evaluated = {}, {}

    def play(self, task_id, **what):
        self.played[task_id] = what

    def evaluate(self, request, **what):
        self.evaluated[request] = what

    def close(self):
        pass


def test_play_tasks_name_run_spec_and_budget_and_have_ids_of_their_own(spec):
    tasks = Sent()
    feed = task_feed(tasks, spec, is_ahead=lambda: False)

    sent = feed.tick()

    assert sent == len(tasks.played) == feed.outstanding == 2
    assert list(tasks.played.values()) == 2 * [
        {
            "experiment": "pole",
            "run": spec.run,
            "spec_version": spec.version,
            "budget_s": 2.0,
            "limit_s": 30.0,
        }
    ]


def test_a_queue_that_is_missing_is_told_once_until_tasks_are_sent_again():
    said, outcomes = [], []

    def tick():
        if error := outcomes.pop(0):
            raise error

    feed: Any = SimpleNamespace(tick=tick, silence_told=lambda **_: "")
    reporter: Any = SimpleNamespace(message=said.append, is_evaluating=False, no_tasks="")
    do = task_chore(feed, reporter, is_needed=lambda: bool(outcomes))
    lacks = ConfigError("no queue 'play'")
    outcomes += [lacks, lacks, None, lacks, ServiceUnreachableError("away")]

    for _ in range(6):
        with suppress(TinyqueueError):
            do()

    assert said == ["no queue 'play'"] * 2
    assert reporter.no_tasks == "away"
    outcomes.append(None)
    do()
    assert reporter.no_tasks == ""


def test_a_task_that_ended_is_replaced(spec):
    tasks = Sent()
    feed = task_feed(tasks, spec, is_ahead=lambda: False)
    feed.tick()

    feed.heard("", "host:1", list(tasks.played)[:1])
    feed.tick()

    assert len(tasks.played) == 3
    assert feed.outstanding == 2


def test_evaluations_name_version_games_and_seed(spec):
    tasks, pinned = Sent(), []
    config = EvaluationConfig(episodes=30, slots=10)
    games = remote_games(
        tasks, spec, b"graph", config, pin=lambda *a: pinned.append(a), play_here=UNUSED
    )

    games.request(WEIGHTS, "ask", seed=4, actions="greedy")

    assert tasks.evaluated == {
        "ask": {
            "experiment": "pole",
            "run": spec.run,
            "version": 9,
            "episodes": 30,
            "slots": 10,
            "seed": 4,
        }
    }
    assert pinned == [(9, 130.0)]


def test_games_played_here_use_spec_and_graph_of_the_run(spec):
    used = []

    def play_here(weights, spec, graph, request, seed, actions, is_wanted):
        used.append((spec, graph))
        one = np.ones(1, np.int32)
        return EvaluationResult(request, "pole", "r", 1, one.astype(np.float32), one, 0.1, "me")

    config = EvaluationConfig(here_after_s=0)
    games = remote_games(Sent(), spec, b"graph", config, pin=UNUSED, play_here=play_here)
    games.request(WEIGHTS, "ask", seed=4, actions="greedy")

    answer = None
    while answer is None:
        answer = games.poll()
    assert used == [(spec, b"graph")]


def test_a_player_whose_process_ended_is_no_longer_live_and_its_task_comes_again(spec):
    tasks, said = Sent(), []
    sent, asked = SentTasks(), SentTasks()
    feed = task_feed(tasks, spec, is_ahead=lambda: False, note=sent.note)
    feed.tick()
    for player in ("host:1", "host:2"):
        feed.heard("", player, [])
    asked.note("a game")
    failed = failure_listener(feed, UNUSED, Setbacks(said.append, 60.0), sent, asked)

    for task, player in ((next(iter(tasks.played)), "host:1"), ("a game", "host:2")):
        kind = f"{ENDED}: exit code 0"
        failed(TaskFailure(task, "pole", "r", kind, "it ended", player, "", ended=False), "")
        feed.tick()

    assert feed.players == 0
    assert feed.outstanding == len(tasks.played) == 2
    assert said == ["player host:1: it ended"]
