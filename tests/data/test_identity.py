"""Given ids of stages and batches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyqueue.data.identity import EXPERIMENT_PATTERN, batch_id, new_id, parse_batch_id

STAGE = "0123456789abcdef" * 2


def test_new_ids_are_128_random_bits_in_hexadecimal() -> None:
    ids = {new_id() for _ in range(100)}

    assert len(ids) == 100
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in ids)


@given(n=st.integers(0, 10**18 - 1))
def test_a_batch_id_is_read_back(n: int) -> None:
    assert parse_batch_id(batch_id(STAGE, n)) == (STAGE, n)


@pytest.mark.parametrize(
    "text",
    [
        "",
        STAGE,
        f"{STAGE}:",
        f"{STAGE}:-1",
        f"{STAGE}:01",
        f"{STAGE}:1.0",
        f"{STAGE}:1\n",
        f"{STAGE}:١",
        f"{STAGE.upper()}:1",
        f"{STAGE[1:]}:1",
        f"{STAGE}0:1",
        f"{STAGE}:{10**18}",
    ],
)
def test_one_batch_has_one_id_and_anything_else_is_none(text: str) -> None:
    assert parse_batch_id(text) is None


@pytest.mark.parametrize("name", ["a", "7", "cartpole-impala", "x_1", "a" * 48])
def test_experiment_names_that_are_allowed(name: str) -> None:
    assert EXPERIMENT_PATTERN.match(name)


@pytest.mark.parametrize("name", ["", "A", "-a", "_a", "a.b", "a:b", "a*", "a b", "a\n", "a" * 49])
def test_experiment_names_that_would_break_a_routing_key_or_a_path(name: str) -> None:
    assert not EXPERIMENT_PATTERN.match(name)
