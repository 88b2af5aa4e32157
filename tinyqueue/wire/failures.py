"""A report that a task could not be played, since the worker's log is on another machine."""

from __future__ import annotations

from dataclasses import dataclass

from tinyqueue.data.identity import EXPERIMENT_PATTERN
from tinyqueue.data.session import SCHEMA
from tinyqueue.wire.arrays import pack
from tinyqueue.wire.documents import open_document
from tinyqueue.wire.fields import short_text
from tinyqueue.wire.limits import FAILURE_LIMITS, Limits

FAILURE_TYPE = "application/x-tinyqueue-task-failure"
"""Content type of a failure."""

LOST = "process-lost"
"""Kind of a task that was delivered again: its process, or only its connection, was lost."""

ENDED = "process-ended"
"""Kinds of failures begin with it whose process ended in the middle of its task, for all to see."""

MOST_TEXT = 1024
_MOST_NAME = 128


@dataclass(frozen=True)
class TaskFailure:
    """What kept a worker from playing a task.

    Attributes:
        task: Id of the play task, or of the request for an evaluation.
        experiment, run: The run that it was meant for.
        kind: What failed, in a word that is the same for every failure of that kind.
        text: What happened and what to do, for the person who started the run.
        player: The player that failed, for people to read.
        user: Its broker login.
        ended: Whether the task is over; False if it is tried again.
    """

    task: str
    experiment: str
    run: str
    kind: str
    text: str
    player: str
    user: str
    ended: bool = True


def encode_failure(failure: TaskFailure) -> bytes:
    """The body of a message of type :data:`FAILURE_TYPE`. Texts are cut to one short line."""
    values = {
        "schema": SCHEMA,
        "task": failure.task,
        "experiment": failure.experiment,
        "run": failure.run,
        "kind": short_text(" ".join(failure.kind.split()), _MOST_NAME) or "unknown",
        "text": short_text(" ".join(failure.text.split()), MOST_TEXT),
        "player": failure.player,
        "user": failure.user,
        "ended": failure.ended,
    }
    return pack(values, {})


def decode_failure(body: bytes | memoryview, limits: Limits = FAILURE_LIMITS) -> TaskFailure:
    """The failure in a message's body.

    Raises:
        MessageError: The body is not a failure. No bytes raise anything else.
    """
    fields, _ = open_document(body, limits)
    return TaskFailure(
        task=fields.text("task"),
        experiment=fields.text("experiment", EXPERIMENT_PATTERN),
        run=fields.text("run"),
        kind=fields.text("kind"),
        text=fields.text("text", most=MOST_TEXT),
        player=fields.text("player"),
        user=fields.text("user"),
        ended=fields.flag("ended"),
    )
