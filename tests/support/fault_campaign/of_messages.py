"""Sessions, and what passes for them, that a login of role player can send."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from typing import Any

import amqp
import numpy as np
import zstandard

from fault_campaign.fault import Acting, Fault
from fault_campaign.hostile import Hostile, strange_stage, tiny_batch
from fault_campaign.sending import sending, sent
from fault_campaign.world import EXPERIMENTS
from tinyqueue.data.identity import new_id
from tinyqueue.data.session import Drop, SessionBatch
from tinyqueue.store.status import StatusBoard
from tinyqueue.wire.sessions import encode_session

FRAME = 131_072 - 8
"""The largest payload of a frame that RabbitMQ takes."""
MOST_PLAYERS = 16


def big_header(hostile: Hostile, experiment: str, n: int) -> None:
    """One that fills a frame: nothing may be added to it when it is put aside."""
    properties = {"message_id": "0" * 16, "content_type": "text/plain"}

    def frame(size: int) -> int:
        message: Any = amqp.Message(
            b"",
            application_headers={"x": "A" * size},
            user_id=hostile.login,
            delivery_mode=2,
            **properties,
        )
        return 12 + len(message._serialize_properties())

    size = FRAME - frame(0)
    while frame(size) > FRAME:
        size -= 1
    hostile.put(experiment, b"", {"x": "A" * size}, **properties)


def odd_header_key(hostile: Hostile, experiment: str, n: int) -> None:
    batch = _strange(hostile, experiment)
    encoded = encode_session(batch)
    headers: dict[Any, Any] = {**encoded.headers, b"\xff": "x"}
    hostile.put(experiment, encoded.body, headers, message_id=batch.header.batch_id)


def junk_stage(hostile: Hostile, experiment: str, n: int) -> None:
    last = 0 if n else 10**18 - 1
    hostile.put(experiment, b"x", message_id=f"{strange_stage()}:{last}", content_type="text/plain")


def invented_player(hostile: Hostile, experiment: str, n: int) -> None:
    batch = tiny_batch(experiment, hostile.login, player=f"ghost-{n}-{secrets.token_hex(3)}")
    hostile.put_batch(experiment, batch)


def junk_stages(acting: Acting) -> str:
    """The last number of one of them says that 10¹⁸ batches are missing."""
    said = sending(junk_stage, 1_000)(acting)
    for experiment, status in _statuses(acting).items():
        missing = status.get("count", {}).get("missing", 0)
        assert missing < 10**9, f"{experiment} believes that {missing} batches are missing"
    return said


def invented_players(acting: Acting) -> str:
    said = sending(invented_player, 300)(acting)
    for experiment, status in _statuses(acting).items():
        players = status.get("players", 0)
        assert players <= MOST_PLAYERS, f"{experiment} believes in {players} players"
    return said


def _statuses(acting: Acting) -> dict[str, dict[str, Any]]:
    """What learners say, once they had time to say it."""
    time.sleep(1.5)
    with acting.world.redis.admin() as client:
        board = StatusBoard(client)
        return {experiment: board.read(experiment) or {} for experiment in EXPERIMENTS}


def expired(hostile: Hostile, experiment: str, n: int) -> None:
    hostile.put(experiment, bytes(50_000), expiration="0")


def huge_observations(hostile: Hostile, experiment: str, n: int) -> None:
    batch = _strange(hostile, experiment)
    huge = {
        path: np.full_like(values, 3e38) if values.dtype.kind == "f" else values
        for path, values in batch.observations.items()
    }
    hostile.put_batch(experiment, replace(batch, observations=huge))


def good_late_and_twice(acting: Acting) -> str:
    """Batches that are sound, out of order, each up to three times."""
    hostile = acting.world.hostile
    hostile.begin(acting.lasts_s)
    while hostile.goes_on:
        experiment = acting.rng.choice(sorted(EXPERIMENTS))
        player = hostile.player(experiment)
        encoded = []
        for _ in range(5):
            batch = player.batch()
            encoded.append((batch.header.batch_id, encode_session(batch)))
        order = [one for one in encoded for _ in range(acting.rng.randrange(1, 4))]
        acting.rng.shuffle(order)
        for batch_id, one in order:
            player.journal.write(batch_id, "attempted")
            if hostile.put(experiment, one.body, one.headers, message_id=batch_id):
                player.journal.write(batch_id, "confirmed")
    return hostile.said()


def other_run(hostile: Hostile, experiment: str, n: int) -> None:
    hostile.put_batch(experiment, _strange(hostile, experiment, run=new_id()))


def scattered_drops(hostile: Hostile, experiment: str, n: int) -> None:
    """Each announces 4,000 batches that it gave up, every second one of a large gap."""
    first = n * 8_000
    drops = tuple(Drop(k, "x") for k in range(first, first + 8_000, 2)) if n else ()
    batch = _strange(hostile, experiment, stage=hostile.stage, n=10**6 + n, dropped=drops)
    hostile.put_batch(experiment, batch)


def inflating(hostile: Hostile, experiment: str, n: int) -> None:
    raw = 64 * 2**20
    headers = {"schema": 1, "raw_bytes": raw, "codec": "zstd"}
    hostile.put(experiment, _ZEROS, headers)


_ZEROS = zstandard.ZstdCompressor().compress(bytes(64 * 2**20))


def bad_session(hostile: Hostile, experiment: str, n: int) -> None:
    """One of several kinds, each damaged in another way."""
    batch = _strange(hostile, experiment)
    headers: dict[str, str | int] = {}
    if n % 6 == 0:
        batch = replace(batch, rewards=batch.rewards * np.float32(np.nan))
    elif n % 6 == 1:
        batch = replace(batch, rewards=batch.rewards[:-1])
    elif n % 6 == 2:
        batch = replace(batch, header=replace(batch.header, policy_version=10**9))
    elif n % 6 == 3:
        batch = replace(batch, header=replace(batch.header, user="ada"))
    elif n % 6 == 4:
        headers = {"schema": 2}
    encoded = encode_session(batch)
    body = encoded.body[: len(encoded.body) // 2] if n % 6 == 5 else encoded.body
    hostile.put(experiment, body, {**encoded.headers, **headers}, message_id=batch.header.batch_id)


def _strange(hostile: Hostile, experiment: str, **header: object) -> SessionBatch:
    """A sound batch, but of a stage that nobody plays."""
    played = hostile.player(experiment).batch()
    changed = {"stage": strange_stage(), "n": 0, **header}
    return replace(played, header=replace(played.header, **changed))  # type: ignore[arg-type]


FAULTS = (
    sent("big-headers", "headers that fill a frame", big_header, 4),
    sent("odd-header-keys", "a header key that is no UTF-8", odd_header_key, 60),
    Fault("junk-stages", "message", "a byte each, of invented stages", junk_stages, 1, 6),
    Fault("invented-players", "message", "tiny sessions of many", invented_players, 1, 6),
    sent("expired", "messages that expire at once", expired, 100),
    sent("huge-observations", "observations of 3e38", huge_observations, 8),
    Fault("late-and-twice", "message", "sound, shuffled, repeated", good_late_and_twice, 1, 6),
    sent("other-run", "sessions of another run", other_run, 50),
    sent("scattered-drops", "4,000 scattered drops in each batch", scattered_drops, 10),
    sent("inflating", "6 kB that become 64 MiB", inflating, 30),
    sent("bad-sessions", "sessions that are damaged in six ways", bad_session, 30),
)
