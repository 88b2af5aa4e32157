"""Given what players carry over from one session batch to the next: state, actions, frames."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from contracts import MakeBatch, MakeContract, refusal

from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Leaf

F32 = np.float32


def test_recurrent_state_must_be_carried_and_finite(
    make_batch: MakeBatch, make_contract: MakeContract
) -> None:
    contract = make_contract(state={"h": Leaf("float32", (3,))})
    batch = make_batch()

    contract.check(replace(batch, carry=batch.carry | {"state/h": np.zeros((4, 3), F32)}))
    assert refusal(contract, batch) == "missing"
    assert refusal(contract, replace(batch, carry={})) == "missing"
    nan = replace(batch, carry={"state/h": np.full((4, 3), np.nan, F32)})
    assert refusal(contract, nan) == "not-finite"


@pytest.mark.parametrize("name", ["episode_steps", "previous_action", "previous_reward"])
def test_what_came_before_must_be_carried_where_it_is_needed(
    make_batch: MakeBatch, make_contract: MakeContract, name: str
) -> None:
    batch = make_batch()
    without = {key: values for key, values in batch.carry.items() if key != name}

    make_contract().check(replace(batch, carry=without))
    needing = make_contract(needs_carry=True)
    needing.check(batch)
    assert refusal(needing, replace(batch, carry=without)) == "missing"
    assert refusal(needing, replace(batch, carry={})) == "missing"


def test_actions_of_a_dict_space_are_carried_by_path(
    make_batch: MakeBatch, make_contract: MakeContract
) -> None:
    contract = make_contract(actions={"arm": Leaf("uint8", (), 2)})
    batch = replace(make_batch(), actions={"arm": np.ones((8, 4), np.uint8)})

    contract.check(replace(batch, carry={"previous_action/arm": np.ones(4, np.uint8)}))
    plain = replace(batch, carry={"previous_action": np.ones(4, np.uint8)})
    assert refusal(contract, plain) == "unknown"


def _with_frames(batch: SessionBatch, **changes: Any) -> SessionBatch:
    """A batch whose carry holds the three frames before it; ``None`` leaves one out."""
    frames = {"frames": np.zeros((4, 3, 4), F32)}
    carry = {k: v for k, v in (batch.carry | frames | changes).items() if v is not None}
    return replace(batch, carry=carry)


def test_with_a_stack_the_frames_before_a_batch_must_be_carried(
    make_batch: MakeBatch, make_contract: MakeContract
) -> None:
    contract, batch = make_contract(stack=4), make_batch()

    contract.check(_with_frames(batch))
    contract.check(_with_frames(batch, previous_action=None, previous_reward=None))
    assert refusal(contract, batch) == "missing"
    assert refusal(contract, replace(batch, carry={})) == "missing"
    assert refusal(contract, _with_frames(batch, episode_steps=None)) == "missing"


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        (np.zeros((4, 4, 4), F32), "shape"),
        (np.zeros((3, 4, 4), F32), "shape"),
        (np.zeros((4, 3, 5), F32), "shape"),
        (np.zeros((4, 3, 4), np.uint8), "dtype"),
        (np.full((4, 3, 4), np.nan, F32), "not-finite"),
    ],
)
def test_carried_frames_are_held_against_the_space(
    make_batch: MakeBatch, make_contract: MakeContract, frames: Array, reason: str
) -> None:
    assert refusal(make_contract(stack=4), _with_frames(make_batch(), frames=frames)) == reason


def test_frames_of_every_path_are_carried_and_of_no_other(
    make_batch: MakeBatch, make_contract: MakeContract
) -> None:
    # Given observations with a path, seen two at a time
    contract = make_contract(observations={"eye": Leaf("float32", (4,))}, stack=2)
    batch = replace(make_batch(), observations={"eye": np.zeros((9, 4, 4), F32)})
    seen = np.zeros((4, 1, 4), F32)

    contract.check(_with_frames(batch, frames=None, **{"frames/eye": seen}))
    assert refusal(contract, _with_frames(batch, frames=seen)) == "missing"
    both = _with_frames(batch, frames=None, **{"frames/eye": seen, "frames/ear": seen})
    assert refusal(contract, both) == "unknown"


def test_without_a_stack_no_frames_are_carried(
    make_batch: MakeBatch, make_contract: MakeContract
) -> None:
    assert refusal(make_contract(), _with_frames(make_batch())) == "unknown"
