"""The sign that a worker has begun an evaluation, whose result may be minutes away."""

from __future__ import annotations

from dataclasses import dataclass

from tinyqueue.data.identity import EXPERIMENT_PATTERN
from tinyqueue.data.session import SCHEMA
from tinyqueue.wire.arrays import pack
from tinyqueue.wire.documents import open_document
from tinyqueue.wire.limits import SIGN_LIMITS, Limits

SIGN_TYPE = "application/x-tinyqueue-evaluation-sign"
"""Content type of a sign."""


@dataclass(frozen=True)
class EvaluationSign:
    """A worker has fetched the weights for a request and is playing its episodes.

    Attributes:
        request: Id of the request.
        experiment, run: The run that is evaluated.
        player: Host and process id, for people to read.
    """

    request: str
    experiment: str
    run: str
    player: str


def encode_sign(sign: EvaluationSign) -> bytes:
    """The body of a message of type :data:`SIGN_TYPE`."""
    values = {
        "schema": SCHEMA,
        "request": sign.request,
        "experiment": sign.experiment,
        "run": sign.run,
        "player": sign.player,
    }
    return pack(values, {})


def decode_sign(body: bytes | memoryview, limits: Limits = SIGN_LIMITS) -> EvaluationSign:
    """The sign in a message's body.

    Raises:
        MessageError: The body is not a sign. No bytes raise anything else.
    """
    fields, _ = open_document(body, limits)
    return EvaluationSign(
        request=fields.text("request"),
        experiment=fields.text("experiment", EXPERIMENT_PATTERN),
        run=fields.text("run"),
        player=fields.text("player"),
    )
