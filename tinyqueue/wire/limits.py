"""How much a message may cost, and why one is refused. Nothing that others send exceeds these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

MIB = 1024 * 1024

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "malformed": "the body is not in this format: truncated, corrupt or made by something else",
        "too-large": "it, or what it unpacks to, is larger than the limit",
        "compression": "the codec is unknown, or the data is not what the codec and length say",
        "header": "a message header is missing, of the wrong type, or contradicts the body",
        "login": "it names another login than its sender's, or its stage is another login's",
        "expiration": "its sender let it expire, so that it could vanish after its confirm",
        "error": "the learner itself failed on it; its log has the traceback",
        "hash": "the sha256 inside does not match the content",
        "schema": "it was written by another schema version: run one tinyqueue version everywhere",
        "type": "its content type is not one that a learner accepts",
        "experiment": "it was played for another experiment",
        "run": "it was played for another run of this experiment",
        "spec": "it was played under another experiment spec",
        "version": "its policy version was never published in this run",
        "stale": "its policy version lags further behind than the experiment allows",
        "missing": "an array that the contract asks for is absent",
        "unknown": "it holds an array that the contract does not know",
        "dtype": "an array's type differs from the contract's",
        "shape": "an array's shape differs from the contract's, or from its own bytes",
        "range": "a discrete value, index or count is outside its range",
        "not-finite": "a number is NaN or infinite, or makes the loss of an update so",
        "too-far": "a number is far larger than the environment's trial, space or steps say",
        "reward": "a reward is NaN, infinite, or beyond the experiment's max_abs_reward",
        "probability": "a log-probability is NaN, infinite or above zero",
        "autoreset": "ends of episodes and valid ticks contradict next-step autoreset",
        "continuity": "it does not go on where the stage's batch before it ended",
    }
)
"""Reason code of a refusal → its meaning. The code is counted and shown; keep it stable."""


@dataclass(frozen=True)
class Limits:
    """Bounds on one message; decoding allocates at most twice ``raw_bytes``.

    Attributes:
        body_bytes: Size as it travels. RabbitMQ 4 refuses messages above 16 MiB.
        raw_bytes: Size after decompression.
        head_bytes: The msgpack part, whose objects cost up to 64 times their bytes.
        items: Elements of one list or map in the msgpack part.
        arrays: Arrays in one message.
        drops: Dropped batches that one session header may report.
        drop_ranges: Ranges in which it reports them. A player gives up batches one after the
            other, so a new range only begins with a new reason.
    """

    body_bytes: int = 15 * MIB
    raw_bytes: int = 64 * MIB
    head_bytes: int = 256 * 1024
    items: int = 4096
    arrays: int = 64
    drops: int = 65_536
    drop_ranges: int = 64


SESSION_LIMITS = Limits()
EVALUATION_LIMITS = Limits(
    body_bytes=96 * 1024, raw_bytes=96 * 1024, head_bytes=8192, items=1024, arrays=2
)
"""Ten thousand games, the most that an experiment can ask for, are 80,000 bytes."""
SIGN_LIMITS = Limits(body_bytes=4096, raw_bytes=4096, head_bytes=4096, items=1024, arrays=0)
FAILURE_LIMITS = Limits(body_bytes=8192, raw_bytes=8192, head_bytes=8192, items=1024, arrays=0)
WEIGHT_LIMITS = Limits(body_bytes=512 * MIB, raw_bytes=512 * MIB, head_bytes=MIB, arrays=4096)
"""A string in Redis holds at most 512 MiB."""
