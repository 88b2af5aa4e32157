"""What logins claim that is not so, and do that is not theirs to do."""

from __future__ import annotations

import json
import secrets
import time

import numpy as np
from celery import Celery

from fault_campaign.fault import Acting, Fault
from fault_campaign.hostile import Hostile
from fault_campaign.poison import send_play_tasks
from fault_campaign.sending import sending, sent
from fault_campaign.world import HOSTILE, MONITOR, REPLAY, STREAM
from tinyqueue.bus.broker import Broker, new_channel
from tinyqueue.data.identity import new_id
from tinyqueue.store.client import connect
from tinyqueue.wire.evaluation_signs import SIGN_TYPE, EvaluationSign, encode_sign
from tinyqueue.wire.evaluations import EVALUATION_TYPE, EvaluationResult, encode_evaluation
from tinyqueue.wire.failures import FAILURE_TYPE, TaskFailure, encode_failure

SIGN_S = 0.5
"""Between two signs of an evaluation that is not played."""
ESCAPES = "\x1b]0;pwned\x07\x1b[2J"


def unasked_evaluation(hostile: Hostile, experiment: str, n: int) -> None:
    games = 100_000
    result = EvaluationResult(
        f"nobody-{n}",
        experiment,
        "r",
        0,
        np.full(games, 1e9, np.float32),
        np.ones(games, np.int32),
        0.0,
        "forger",
    )
    key = f"{experiment}.{hostile.login}.evaluations" if n % 2 else ""
    hostile.put(experiment, encode_evaluation(result), content_type=EVALUATION_TYPE, key=key)


def forged_evaluations(acting: Acting) -> str:
    """Answers evaluations that it takes from the queue, with scores that end the run."""
    hostile = acting.world.hostile
    hostile.begin(acting.lasts_s)
    scores = [[1e9], [3.4e38, 3.4e38], [float("nan")], [float("inf")]]
    answered = 0
    while hostile.goes_on:
        task = hostile.take_task("evaluate")
        if task is None:
            time.sleep(0.01)
            continue
        asked = json.loads(task)[1]
        returns = np.array(acting.rng.choice(scores), np.float32)
        result = EvaluationResult(
            asked["request"],
            asked["experiment"],
            asked["run"],
            asked["version"],
            returns,
            np.ones(len(returns), np.int32),
            0.1,
            "forger",
        )
        for key in ("", f"{asked['experiment']}.{hostile.login}.evaluations"):
            body = encode_evaluation(result)
            hostile.put(asked["experiment"], body, content_type=EVALUATION_TYPE, key=key)
        answered += 1
    return f"{answered} answered; {hostile.said()}"


def endless_signs(acting: Acting) -> str:
    """Says again and again that it plays an evaluation that it took, and never answers."""
    hostile = acting.world.hostile
    hostile.begin(acting.lasts_s)
    asked: list[dict[str, str]] = []
    signed_s = 0.0
    while hostile.goes_on:
        task = hostile.take_task("evaluate")
        if task is not None:
            asked.append(json.loads(task)[1])
        if time.monotonic() > signed_s + SIGN_S:
            signed_s = time.monotonic()
            for one in asked:
                sign = EvaluationSign(one["request"], one["experiment"], one["run"], "forger")
                hostile.put(one["experiment"], encode_sign(sign), content_type=SIGN_TYPE)
        time.sleep(0.01)
    return f"{len(asked)} taken; {hostile.said()}"


def false_failure(hostile: Hostile, experiment: str, n: int) -> None:
    """Says that play fails, in a text that rewrites the reader's terminal."""
    failure = TaskFailure(
        task=new_id(),
        experiment=experiment,
        run=hostile.player(experiment).spec.run,
        kind=f"{ESCAPES}kind",
        text=f"{ESCAPES}text",
        player=f"{ESCAPES}player",
        user=hostile.login,
    )
    hostile.put(experiment, encode_failure(failure), content_type=FAILURE_TYPE)


def false_failures(acting: Acting) -> str:
    said = sending(false_failure, 40)(acting)
    time.sleep(0.5)
    for learner in acting.world.learners.values():
        assert "\x1b]0;pwned" not in learner.process.printed, f"escapes in {learner.log}"
    return said


def attempts_keys(acting: Acting) -> str:
    """Long keys where the role may count, which nobody removes."""
    world = acting.world
    refused = 0
    with connect(world.redis.url("player")) as client:
        for _ in range(5):
            key = b"tinyqueue:attempts:" + secrets.token_hex(500_000).encode()
            try:
                client.incr(key)
            except Exception:
                refused += 1
    assert refused == 5, f"{refused} of 5 were refused"
    return "all refused"


def remote_control(acting: Acting) -> str:
    """Tells all workers to end, and to have more children."""
    said = []
    for what, arguments in (("pool_grow", {"n": 1}), ("shutdown", {})):
        try:
            with (
                Celery(broker=acting.world.hostile.broker_url) as app,
                app.connection_for_write() as connection,
            ):
                app.control.broadcast(what, arguments=arguments, connection=connection)
            said.append(f"{what} was sent")
        except Exception as error:
            said.append(f"{what}: {type(error).__name__}")
    return ", ".join(said)


def purge(acting: Acting) -> str:
    """By the monitor's login, and by a player's."""
    said = []
    for login in (MONITOR, HOSTILE):
        try:
            with Broker(acting.world.broker.url(login)).open() as connection:
                count = new_channel(connection).queue_purge(f"experience.{STREAM}")
            said.append(f"{login} purged {count}")
        except Exception as error:
            said.append(f"{login}: {type(error).__name__}")
    refused = sum("purged" not in one for one in said)
    assert refused == len(said), "; ".join(said)
    return "; ".join(said)


def stale_tasks(acting: Acting) -> str:
    """What a learner that has ended left in the queue of play tasks."""
    world = acting.world
    count = acting.rng.randrange(50, 300)
    urls = (world.broker.url("learner"), world.redis.url("learner"))
    send_play_tasks(*urls, REPLAY, new_id(), 1, count)
    return f"{count} tasks"


FAULTS = (
    sent("unasked-evaluations", "0.8 MB of scores for no request", unasked_evaluation, 60),
    Fault("forged-evaluations", "message", "scores of 1e9 and 3.4e38", forged_evaluations, 2, 6),
    Fault("endless-signs", "message", "evaluations taken and never played", endless_signs, 2, 10),
    Fault("false-failures", "message", "failures with escape sequences", false_failures, 1, 4),
    Fault("attempts-keys", "message", "keys of 1 MB where players may count", attempts_keys),
    Fault("remote-control", "message", "shutdown and pool_grow for all workers", remote_control),
    Fault("purge", "message", "a monitor and a player purge a learner's queue", purge),
    Fault("stale-tasks", "message", "play tasks of a run that has ended", stale_tasks),
)
