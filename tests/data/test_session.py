"""Given a session batch in memory."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tinyqueue.data.session import SCHEMA, Header, SessionBatch


def _batch() -> SessionBatch:
    valid = np.array([[True, False, True], [True, True, False]])
    zeros = np.zeros((2, 3), bool)
    return SessionBatch(
        header=Header("exp", "run", "a" * 32, 4, "user", "player", 1, 2),
        observations={"": np.zeros((3, 3, 4), np.float32)},
        actions={"": np.zeros((2, 3), np.uint8)},
        rewards=np.zeros((2, 3), np.float32),
        terminated=zeros,
        truncated=zeros,
        valid=valid,
    )


def test_its_size_is_ticks_by_slots() -> None:
    assert (_batch().ticks, _batch().slots) == (2, 3)


def test_only_valid_ticks_are_env_steps() -> None:
    assert _batch().env_steps == 4


def test_its_id_is_its_stage_and_place() -> None:
    assert _batch().header.batch_id == f"{'a' * 32}:4"


def test_nothing_is_recorded_unless_said() -> None:
    batch = _batch()

    assert (batch.extras, batch.carry, len(batch.episodes)) == ({}, {}, 0)


def test_a_header_is_fixed_once_made() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        _batch().header.n = 5  # type: ignore[misc]  # it is frozen


def test_the_schema_is_the_first() -> None:
    assert SCHEMA == 1
