"""Given an action space for an algorithm that ranks actions by value."""

from __future__ import annotations

import numpy as np
import pytest

from tinyqueue.data.joint_actions import JointActions
from tinyqueue.data.spaces import Leaf, Space
from tinyqueue.errors import ConfigError


def test_a_discrete_action_is_its_own_index() -> None:
    joint = JointActions({"go": Leaf("uint16", (), n=3000)})
    assert (joint.path, joint.n, joint.dtype, joint.is_flattened) == ("go", 3000, "uint16", False)
    actions = np.array([[0, 2999]], np.uint16)
    assert joint.index(actions) is actions
    assert joint.entries(actions) is actions


def test_entries_are_numbered_with_the_last_changing_fastest() -> None:
    joint = JointActions({"": Leaf("uint8", (2,), n=4, nvec=(3, 4))})
    assert (joint.n, joint.strides, joint.is_flattened) == (12, (4, 1), True)
    assert joint.entries(np.array([0, 1, 4, 11])).tolist() == [[0, 0], [0, 1], [1, 0], [2, 3]]
    assert joint.entries(np.array([0])).dtype == np.uint8


@pytest.mark.parametrize(
    "leaf",
    [
        Leaf("uint8", (2, 2), n=5, nvec=(2, 5, 1, 3)),
        Leaf("uint8", (10,), n=2),
        Leaf("uint16", (2,), n=512, nvec=(2, 512)),
    ],
    ids=["table", "binary", "most"],
)
def test_every_joint_action_has_an_index_and_comes_back(leaf: Leaf) -> None:
    joint = JointActions({"": leaf})
    indices = np.arange(joint.n).reshape(2, -1)
    actions = joint.entries(indices)
    assert (actions.dtype, actions.shape) == (leaf.dtype, (*indices.shape, *leaf.shape))
    assert len(np.unique(actions.reshape(joint.n, -1), axis=0)) == joint.n
    assert (actions < np.reshape(leaf.counts, leaf.shape)).all()
    found = joint.index(actions)
    assert (found == indices).all()
    assert found.dtype == joint.dtype
    assert actions.reshape(joint.n, -1) @ np.array(joint.strides) == pytest.approx(indices.ravel())


def test_a_joint_action_is_valid_where_all_its_entries_are() -> None:
    joint = JointActions({"": Leaf("uint8", (2,), n=3, nvec=(2, 3))})
    mask = np.array([[True, False, True, False, True], [True, True, False, False, True]])
    assert joint.valid(mask).tolist() == [
        [True, False, True, False, False, False],
        [False, False, True, False, False, True],
    ]
    assert joint.places.tolist()[0] == [0, 2]
    assert joint.places.tolist()[-1] == [1, 4]
    single = JointActions({"": Leaf("uint8", (), n=5)})
    assert single.valid(mask) is mask


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"": Leaf("float32", (2,), low=-1.0, high=1.0)}, "here are 2 numbers from -1 to 1"),
        ({"": Leaf("uint8", (11,), n=2)}, "there are 2,048 of them here"),
        (
            {"arm": Leaf("uint8", (), n=3), "keys": Leaf("uint8", (2,), n=4, nvec=(2, 4))},
            "here are one of 3 values at 'arm', choices of 2, 4 values at 'keys'",
        ),
    ],
    ids=["box", "many", "two"],
)
def test_other_spaces_are_refused_with_what_can_act_in_them(space: Space, said: str) -> None:
    with pytest.raises(ConfigError, match="impala, a3c or ppo") as refused:
        JointActions(space)
    assert said in str(refused.value)
