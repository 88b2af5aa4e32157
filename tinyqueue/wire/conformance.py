"""Whether messages are as ``docs/wire.md`` says, one by one and from batch to batch of a stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyqueue.data.identity import batch_id
from tinyqueue.data.names import EPISODE_STEPS, PREVIOUS_REWARD, carried_action
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Arrays
from tinyqueue.errors import MessageError
from tinyqueue.wire.contract import Contract
from tinyqueue.wire.failures import FAILURE_TYPE, decode_failure
from tinyqueue.wire.fields import shown
from tinyqueue.wire.message_headers import KNOWN_HEADERS, known_headers, known_property
from tinyqueue.wire.recorded import Recorded
from tinyqueue.wire.session_limits import session_limits
from tinyqueue.wire.sessions import SESSION_TYPE, decode_session


@dataclass(frozen=True)
class _Last:
    """How a stage's newest batch ended.

    Attributes:
        n: Its number.
        observations: path → ``[B, *obs]``, the bootstrap row.
        actions, rewards: Of its last tick.
        ended, valid: ``[B]`` bool, of its last tick.
        steps: ``[B]`` int64, steps of the episode after its last tick; 0 once it has ended.
    """

    n: int
    observations: Arrays
    actions: Arrays
    rewards: Array
    ended: Array
    valid: Array
    steps: Array


class Conformance:
    """Checks the messages of players, in the order in which each stage published them.

    Args:
        contract: What a session batch of the run looks like.
        spec_version: The version that headers must name.
    """

    def __init__(self, contract: Contract, spec_version: int) -> None:
        self._contract, self._spec_version = contract, spec_version
        self._limits = session_limits(contract)
        self._stages: dict[str, _Last] = {}

    def check(self, message: Recorded) -> None:
        """Returns if a message conforms.

        A batch that comes again is checked alone, and so is one after a gap in its stage.

        Raises:
            MessageError: The first rule that it breaks: one of ``tinyqueue.wire.limits.REASONS``,
                or ``continuity``.
        """
        kind = message.properties.get("content_type")
        if kind == FAILURE_TYPE:
            decode_failure(message.body)
        elif kind == SESSION_TYPE:
            self._check_session(message)
        else:
            raise MessageError("type", f"content type {shown(kind)}, not {SESSION_TYPE!r}")

    def _check_session(self, message: Recorded) -> None:
        _check_headers(message.headers)
        batch = decode_session(message.body, known_headers(message.headers), self._limits)
        header = batch.header
        self._contract.check(batch)
        if header.spec_version != self._spec_version:
            told = f"spec_version {header.spec_version} is not {self._spec_version}"
            raise MessageError("spec", told)
        _check_properties(message.properties, header.batch_id, header.user, header.task)
        before = self._stages.get(header.stage)
        if before is not None and before.n + 1 == header.n:
            _check_continuity(before, batch)
        elif header.n == 0:
            _check_first(batch)
        if before is None or header.n > before.n:
            self._stages[header.stage] = _last(batch)


def _check_headers(headers: Any) -> None:
    known = known_headers(headers)
    for name, kind in KNOWN_HEADERS.items():
        if name not in headers:
            raise MessageError("header", f"{name} is missing")
        if name not in known:
            wanted = "a short text" if kind is str else "a whole number from 0"
            raise MessageError("header", f"{name} = {shown(headers[name])} is not {wanted}")


def _check_properties(properties: Any, id_: str, user: str, task: str) -> None:
    for name, wanted in (("message_id", id_), ("user_id", user), ("correlation_id", task)):
        # On embedded Redis there is no login to check.
        if name == "user_id" and name not in properties:
            continue
        if known_property(properties.get(name)) != wanted:
            told = f"{name} = {shown(properties.get(name))}, and the body says {wanted!r}"
            raise MessageError("malformed", told)
    if "expiration" in properties:
        raise MessageError("expiration", "a session must not expire")


def _check_first(batch: SessionBatch) -> None:
    if not batch.valid[0].all():
        raise MessageError("autoreset", "tick 0 of a stage's first batch must be valid")
    for name in (EPISODE_STEPS, PREVIOUS_REWARD):
        if batch.carry[name].any():
            raise MessageError("continuity", f"carry/{name} of a stage's first batch must be 0")


def _check_continuity(before: _Last, batch: SessionBatch) -> None:
    names = f"{batch_id('…', before.n)} and {batch_id('…', batch.header.n)}"
    if (batch.valid[0] == before.ended).any():
        slot = int(np.flatnonzero(batch.valid[0] == before.ended)[0])
        raise MessageError(
            "autoreset",
            f"slot {slot}, between {names}: tick 0 must be invalid exactly if the last tick "
            "before it ended an episode",
        )
    for path, rows in before.observations.items():
        _same(f"observations/{path}", names, rows, batch.observations[path][0])
    # An episode's first row has nothing before it.
    begins = ~before.valid
    _same(f"carry/{EPISODE_STEPS}", names, before.steps, batch.carry[EPISODE_STEPS])
    _same(
        f"carry/{PREVIOUS_REWARD}",
        names,
        np.where(begins, 0, before.rewards),
        batch.carry[PREVIOUS_REWARD],
    )
    for path, acted in before.actions.items():
        expected = acted.copy()
        expected[begins] = 0
        _same(f"carry/{carried_action(path)}", names, expected, batch.carry[carried_action(path)])


def _same(name: str, names: str, expected: Array, found: Array) -> None:
    differs = (expected != found).reshape(len(expected), -1).any(axis=1)
    if differs.any():
        slot = int(np.flatnonzero(differs)[0])
        raise MessageError(
            "continuity",
            f"{name}, slot {slot}, between {names}: {shown(found[slot].tolist())} follows "
            f"{shown(expected[slot].tolist())}",
        )


def _last(batch: SessionBatch) -> _Last:
    ended = batch.terminated | batch.truncated
    return _Last(
        n=batch.header.n,
        observations={path: rows[-1] for path, rows in batch.observations.items()},
        actions={path: acted[-1] for path, acted in batch.actions.items()},
        rewards=batch.rewards[-1],
        ended=ended[-1],
        valid=batch.valid[-1],
        steps=_steps(batch, ended),
    )


def _steps(batch: SessionBatch, ended: Array) -> Array:
    """``[B]`` steps of each slot's episode after the last tick."""
    steps = batch.carry[EPISODE_STEPS].astype(np.int64)
    for valid, over in zip(batch.valid, ended, strict=True):
        steps = np.where(over, 0, steps + valid)
    return steps
