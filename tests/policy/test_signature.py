"""A graph that does not fit the environment or the head is refused, with both shapes."""

import numpy as np
import pytest
from linear_policy import PUSH, linear_model
from linear_policy import spec_of as spec

from tinyqueue.data.spaces import Leaf
from tinyqueue.errors import ConfigError
from tinyqueue.policy.graphs import policy_graph
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.policy.signature import Port, Signature, require_playable


def of(**changes):
    graph = policy_graph(linear_model(**changes), ["w"])
    shape = (changes.get("features", 4), changes.get("actions", 2))
    return PolicyRunner(graph, {"w": np.ones(shape, np.float32)}, 0).signature


def test_a_graph_says_what_it_takes_and_gives():
    signature = of(hidden=3)

    assert signature.inputs == {
        "observation:": Port("float32", (None, 4)),
        "state:h": Port("float32", (None, 3)),
        "weight:w": Port("float32", (4, 2)),
    }
    assert signature.outputs["next_state:h"] == Port("float32", (None, 3))
    assert signature.state == {"h": (3,)}
    assert not signature.uses_previous


def test_a_graph_that_fits_is_played():
    require_playable(of(), spec())
    require_playable(of(hidden=3), spec(h=(3,)))
    require_playable(of(output="output:q"), spec(head="epsilon-greedy"))
    require_playable(of(features=4), spec({"": Leaf("float32", ())}, stack=4))


@pytest.mark.parametrize(
    ("changes", "played", "said"),
    [
        ({"features": 3}, {}, r"takes observation: as \[B, 3\], and gets \[B, 4\]"),
        ({"actions": 5}, {}, r"gives output:logits as \[B, 5\], and the head reads \[B, 2\]"),
        ({"batch": 1}, {}, r"as \[1, 4\], and gets \[B, 4\].*B is left open"),
        ({"seen": "observation:camera"}, {}, r"'observation:camera' \[B, 4\], which is not any"),
        ({"seen": "previous:action/arm"}, {}, "is not an action of this environment"),
        ({"output": "output:q"}, {}, r"gives no output:logits \[B, 2\].*gives output:q \[B, 2\]"),
        ({}, {"head": "epsilon-greedy"}, r"gives no output:q \[B, 2\]"),
        ({}, {"stack": 4}, r"as \[B, 4\], and gets \[B, 4, 4\]"),
        ({}, {"h": (3,)}, "does not take the state 'state:h'"),
        ({"hidden": 2}, {"h": (3,)}, r"takes state:h as \[B, 2\], and gets \[B, 3\]"),
        ({"hidden": 2}, {}, r"'state:h' \[B, 2\], which is not anything"),
    ],
)
def test_a_graph_that_does_not_fit_is_refused_with_both_shapes(changes, played, said):
    with pytest.raises(ConfigError, match=f"does not fit CartPole-v1 with .*{said}"):
        require_playable(of(**changes), spec(**played))


def test_a_state_that_is_not_given_back_is_refused():
    taken = {"observation:": Port("float32", (None, 4)), "state:h": Port("float32", (None, 3))}
    logits = {"output:logits": Port("float32", (None, 2))}
    with pytest.raises(ConfigError, match=r"gives no next_state:h float32 \[B, 3\]"):
        require_playable(Signature(taken, logits), spec(h=(3,)))
    after = {"next_state:h": Port("float32", (None, None))}
    with pytest.raises(ConfigError, match=r"next_state:h as float32 \[B, \?\], and takes it back"):
        require_playable(Signature(taken, logits | after), spec(h=(3,)))


def test_actions_of_several_parts_have_an_output_each():
    arm = {"grip": PUSH[""], "angle": Leaf("float32", (3,), low=-1.0, high=1.0)}
    with pytest.raises(ConfigError) as refused:
        require_playable(of(), spec(actions=arm))
    assert "the head reads" in str(refused.value)
    assert "[B, 3]" in str(refused.value)
