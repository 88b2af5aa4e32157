"""That somebody plays an evaluation, as a message on the bus: the result may be minutes away."""

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
    """A worker has the weights of a request and plays its games.

    Attributes:
        request: Id of the request.
        experiment, run: What is evaluated.
        player: Host and process id, for people.
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
    """The sign.

    Raises:
        MessageError: And nothing else, whatever the bytes are.
    """
    fields, _ = open_document(body, limits)
    return EvaluationSign(
        request=fields.text("request"),
        experiment=fields.text("experiment", EXPERIMENT_PATTERN),
        run=fields.text("run"),
        player=fields.text("player"),
    )
