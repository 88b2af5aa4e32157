"""The result of an evaluation, as a message on the bus: players never write to the store."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyqueue.data.identity import EXPERIMENT_PATTERN
from tinyqueue.data.session import SCHEMA
from tinyqueue.data.spaces import Array
from tinyqueue.errors import MessageError
from tinyqueue.wire.arrays import pack
from tinyqueue.wire.documents import open_document
from tinyqueue.wire.fields import short_text
from tinyqueue.wire.limits import EVALUATION_LIMITS, Limits

EVALUATION_TYPE = "application/x-tinyqueue-evaluation"
"""Content type of an evaluation message."""


@dataclass(frozen=True)
class EvaluationResult:
    """The evaluation episodes that one worker played with one pinned weight version.

    Attributes:
        request: Id of the request that it answers.
        experiment, run: The run that was evaluated.
        policy_version: Version of the weights that played.
        returns: ``[E]`` float32, undiscounted sum of the environment's own rewards per episode.
        lengths: ``[E]`` int32, in env steps.
        seconds: Wall time of the whole evaluation.
        player: Host, process id and worker name, for people to read.
        actions: How actions were chosen, ``greedy`` or ``sample``.
        asked, capped, max_steps, cut, failures, failure: Episodes that did not end by themselves
            or failed, as in :class:`tinyqueue.evaluation.games.Games`.
    """

    request: str
    experiment: str
    run: str
    policy_version: int
    returns: Array
    lengths: Array
    seconds: float
    player: str
    actions: str = "greedy"
    asked: int = 0
    capped: int = 0
    max_steps: int = 0
    cut: int = 0
    failures: int = 0
    failure: str = ""


MOST_GAMES = 10_000
"""Games of one evaluation; an experiment cannot ask for more."""
ACTIONS = ("greedy", "sample")
_COUNTS = ("asked", "capped", "max_steps", "cut", "failures")


def encode_evaluation(result: EvaluationResult) -> bytes:
    """The body of a message of type :data:`EVALUATION_TYPE`.

    Raises:
        ValueError: The result holds no episodes.
    """
    values = {
        "schema": SCHEMA,
        "request": result.request,
        "experiment": result.experiment,
        "run": result.run,
        "policy_version": result.policy_version,
        "seconds": float(result.seconds),
        "player": result.player,
        "actions": result.actions,
        **{name: int(getattr(result, name)) for name in _COUNTS},
        "failure": short_text(result.failure),
    }
    columns = {
        "returns": np.asarray(result.returns, np.float32),
        "lengths": np.asarray(result.lengths, np.int32),
    }
    return pack(values, columns)


def decode_evaluation(
    body: bytes | memoryview, limits: Limits = EVALUATION_LIMITS
) -> EvaluationResult:
    """The result, with finite returns and positive lengths, one of each per episode.

    Raises:
        MessageError: The body is not an evaluation. No bytes raise anything else.
    """
    fields, arrays = open_document(body, limits)
    returns, lengths = arrays.get("returns"), arrays.get("lengths")
    if returns is None or lengths is None or len(arrays) != 2:
        raise MessageError("missing", "an evaluation holds exactly returns and lengths")
    if returns.dtype != np.float32 or lengths.dtype != np.int32:
        raise MessageError("dtype", "returns are not float32 or lengths not int32")
    if returns.ndim != 1 or returns.shape != lengths.shape:
        raise MessageError("shape", "returns and lengths are not one of each per episode")
    if len(returns) > MOST_GAMES:
        raise MessageError("too-large", f"{len(returns)} games; at most {MOST_GAMES}")
    if not np.isfinite(returns).all():
        raise MessageError("not-finite", "a return is NaN or infinite")
    if lengths.min() < 1:
        raise MessageError("range", "an episode has no steps")
    actions = fields.text("actions")
    if actions not in ACTIONS:
        raise MessageError("malformed", f"actions = {actions!r} is not one of {', '.join(ACTIONS)}")
    return EvaluationResult(
        request=fields.text("request"),
        experiment=fields.text("experiment", EXPERIMENT_PATTERN),
        run=fields.text("run"),
        policy_version=fields.integer("policy_version"),
        returns=returns,
        lengths=lengths,
        seconds=fields.number("seconds"),
        player=fields.text("player"),
        actions=actions,
        **{name: fields.integer(name) for name in _COUNTS},
        failure=fields.text("failure"),
    )
