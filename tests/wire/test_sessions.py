"""Given session batches that are sent and received."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinyqueue.data.episodes import Episodes
from tinyqueue.data.session import Drop, Header, SessionBatch
from tinyqueue.data.spaces import Array, Arrays
from tinyqueue.errors import ConfigError
from tinyqueue.wire.compression import CODECS
from tinyqueue.wire.sessions import decode_session, encode_session

Make = Callable[..., SessionBatch]
PATHS = st.sampled_from(["", "camera", "arm/angle", "h", "ünïcode"])


def assert_equal(found: SessionBatch, sent: SessionBatch) -> None:
    """Equal to the bit, dtypes and order of paths included."""
    assert found.header == sent.header
    for name in ("observations", "actions", "extras", "carry"):
        _assert_equal_arrays(getattr(found, name), getattr(sent, name))
    for name in ("rewards", "terminated", "truncated", "valid"):
        _assert_equal_arrays({name: getattr(found, name)}, {name: getattr(sent, name)})
    _assert_equal_arrays(vars(found.episodes), vars(sent.episodes))


def _assert_equal_arrays(found: Arrays, sent: Arrays) -> None:
    assert list(found) == list(sent)
    for path, array in sent.items():
        assert found[path].dtype == array.dtype, path
        assert found[path].shape == array.shape, path
        assert found[path].tobytes() == array.tobytes(), path


@st.composite
def batches(draw: st.DrawFn) -> SessionBatch:
    ticks, slots = draw(st.integers(1, 4)), draw(st.integers(1, 4))

    def array(*axes: int, dtype: Any = None) -> Array:
        kinds = st.sampled_from(["float32", "uint8", "int64", "bool", "float16"])
        shape = axes + draw(hnp.array_shapes(min_dims=0, max_dims=2, max_side=3))
        return draw(hnp.arrays(draw(kinds), shape))

    def arrays(*axes: int) -> Arrays:
        return {path: array(*axes) for path in draw(st.lists(PATHS, max_size=3, unique=True))}

    def plain(dtype: str, *shape: int) -> Array:
        return draw(hnp.arrays(dtype, shape))

    count = draw(st.integers(0, 3))
    return SessionBatch(
        header=Header(
            "exp", "run", "0" * 32, draw(st.integers(2, 10**17)), "user", "player", 3, 4,
            dropped=(Drop(1, "queue full"),),
            ended_tasks=("a", "b"),
            epsilons=tuple(draw(st.lists(st.floats(0, 1), max_size=3))),
        ),
        observations=arrays(ticks + 1, slots),
        actions=arrays(ticks, slots),
        rewards=plain("float32", ticks, slots),
        terminated=plain("bool", ticks, slots),
        truncated=plain("bool", ticks, slots),
        valid=plain("bool", ticks, slots),
        extras=arrays(ticks, slots),
        carry=arrays(slots),
        episodes=Episodes(
            plain("int32", count), plain("float32", count), plain("int32", count),
            plain("float32", count), *draw_info(draw, count),
        ),
    )  # fmt: skip


def draw_info(draw: Any, episodes: int) -> list[Array]:
    """Last values and means of some numbers, or nothing."""
    keys = draw(st.integers(0, 2)) if episodes else 0
    shape = (episodes, keys) if keys else (0, 0)
    return [draw(hnp.arrays("float32", shape)) for _ in range(2)]


@settings(max_examples=50, deadline=None)
@given(batch=batches(), codec=st.sampled_from(CODECS))
def test_a_session_batch_comes_back_bit_for_bit(batch: SessionBatch, codec: str) -> None:
    encoded = encode_session(batch, codec)

    assert_equal(decode_session(encoded.body, encoded.headers), batch)


def test_headers_say_what_a_learner_must_know_before_it_unpacks(make_batch: Make) -> None:
    batch = make_batch(ticks=8, slots=4)

    encoded = encode_session(batch)

    assert encoded.headers == {
        "schema": 1,
        "experiment": "cartpole-impala",
        "run": batch.header.run,
        "policy_version": 55,
        "spec_version": 2**47 + 1,
        "player": "node-a:4711:celery@node-a",
        "ticks": 8,
        "slots": 4,
        "env_steps": int(batch.valid.sum()),
        "codec": "none",
        "raw_bytes": len(encoded.body),
    }


def test_arrays_of_an_uncompressed_body_are_used_where_they_lie(make_batch: Make) -> None:
    encoded = encode_session(make_batch())

    batch = decode_session(encoded.body, encoded.headers)

    body = np.frombuffer(encoded.body, np.uint8)
    for array in (batch.observations[""], batch.rewards, batch.valid, batch.actions[""]):
        assert np.shares_memory(array, body)
        assert not array.flags.writeable


def test_frames_of_one_game_lie_side_by_side_when_compressed(make_batch: Make) -> None:
    """Still games: a slot's frames repeat, different slots have nothing in common."""
    game = np.random.default_rng(0).integers(0, 256, (1, 16, 20, 20), np.uint8)
    frames = np.repeat(game, 9, axis=0)
    batch = replace(make_batch(8, 16), observations={"": frames})

    body = encode_session(batch, "lz4").body
    decoded = decode_session(body, encode_session(batch, "lz4").headers)

    assert len(body) < 1.5 * game.nbytes
    np.testing.assert_array_equal(decoded.observations[""], frames)


def test_buffers_that_are_slices_of_others_travel_as_they_read(make_batch: Make) -> None:
    batch = make_batch()
    sliced = replace(batch, rewards=np.repeat(batch.rewards, 2, axis=1)[:, ::2])
    assert not sliced.rewards.flags.c_contiguous

    encoded = encode_session(sliced)

    assert_equal(decode_session(encoded.body, encoded.headers), batch)


def test_a_batch_too_large_for_a_learner_fails_where_it_is_made(make_batch: Make) -> None:
    frames = np.zeros((9, 4, 700, 700), np.uint8)
    large = replace(make_batch(), observations={"": frames})

    with pytest.raises(ConfigError, match=r"Lower session\.ticks or session\.slots"):
        encode_session(large)
    assert len(encode_session(large, "lz4").body) < 200_000
