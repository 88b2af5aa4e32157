"""Given a head that draws from a policy's distribution over any action space."""

from __future__ import annotations

import math

import numpy as np
import pytest
from formulas import chi_squared, kolmogorov, normal

from tinyqueue.data.spaces import Arrays, Leaf, Space
from tinyqueue.distributions import BoxFamily, Factored
from tinyqueue.policy.heads import (
    ENTROPY,
    LOG_PROB,
    Categorical,
    Sampling,
    evaluation_head,
    greedy_head,
    make_head,
)

TICKS, SLOTS = 6, 5
BOX = {"": Leaf("float32", (2,), low=-1.0, high=1.0)}
SPACES: dict[str, Space] = {
    "discrete": {"": Leaf("uint8", (), n=3)},
    "multi-discrete": {"": Leaf("uint16", (2, 2), n=300, nvec=(2, 300, 3, 1))},
    "multi-binary": {"": Leaf("int8", (4,), n=2)},
    "box": BOX,
    "nested": {
        "arm/turn": Leaf("float32", (2,)),
        "arm/grip": Leaf("uint8", (), n=2),
        "keys": Leaf("uint8", (3,), n=5, nvec=(5, 2, 3)),
    },
}


def said_by(space: Space, seed: int = 0) -> list[Arrays]:
    """Outputs of a network, tick by tick."""
    rng = np.random.default_rng(seed)
    return [
        {
            name: rng.normal(size=(SLOTS, parameter.size)).astype(np.float32)
            for name, parameter in Factored(space).parameters.items()
        }
        for _ in range(TICKS)
    ]


@pytest.mark.parametrize("box", ["gaussian", "squashed_gaussian"])
@pytest.mark.parametrize("name", SPACES)
def test_what_is_recorded_is_of_what_was_drawn(name: str, box: BoxFamily) -> None:
    space = SPACES[name]
    if name == "nested" and box == "squashed_gaussian":
        space = space | {"arm/turn": BOX[""]}
    outputs = said_by(space)
    head = Sampling(space, box, record_entropy=True)
    head.begin(TICKS, SLOTS, np.random.default_rng(1), 0)
    # When it acts, and the buffers of outputs are used again
    actions = []
    for tick in range(TICKS):
        buffers = {key: values.copy() for key, values in outputs[tick].items()}
        actions.append({path: x.copy() for path, x in head.act(tick, buffers).items()})
        for buffer in buffers.values():
            buffer[...] = 99
    # Then actions are the space's, in the types of the wire
    for path, leaf in space.items():
        rows = np.stack([acted[path] for acted in actions])
        assert (rows.dtype, rows.shape) == (leaf.dtype, (TICKS, SLOTS, *leaf.shape))
        if leaf.is_discrete:
            assert (rows < np.reshape(leaf.counts, leaf.shape)).all()
        elif box == "squashed_gaussian":
            assert np.abs(rows).max() <= 1
    # And log-probabilities and entropies those of the whole action
    recorded, policy = head.recorded(), Factored(space, box)
    for tick in range(TICKS):
        log_prob = policy.log_prob(np, outputs[tick], actions[tick])
        np.testing.assert_allclose(recorded[LOG_PROB][tick], log_prob, atol=1e-5)
        entropy = policy.entropy(np, outputs[tick])
        np.testing.assert_allclose(recorded[ENTROPY][tick], entropy, atol=1e-5)
    kind = "log-density" if policy.is_density else "log-probability"
    assert head.extras[LOG_PROB].kind == kind
    assert {key: x.dtype for key, x in recorded.items()} == {
        key: extra.dtype for key, extra in head.extras.items()
    }


def test_the_fast_head_of_one_discrete_action_says_what_the_formulas_say() -> None:
    space = SPACES["discrete"]
    fast = Categorical(space, record_entropy=True)
    fast.begin(TICKS, SLOTS, np.random.default_rng(1), 0)
    outputs, policy = said_by(space), Factored(space)
    actions = [{"": fast.act(tick, outputs[tick])[""].copy()} for tick in range(TICKS)]
    recorded = fast.recorded()
    for tick in range(TICKS):
        log_prob = policy.log_prob(np, outputs[tick], actions[tick])
        np.testing.assert_allclose(recorded[LOG_PROB][tick], log_prob, atol=1e-6)
        entropy = policy.entropy(np, outputs[tick])
        np.testing.assert_allclose(recorded[ENTROPY][tick], entropy, atol=1e-6)


def test_both_heads_draw_the_same_from_the_same_generator() -> None:
    space, drawn = SPACES["discrete"], []
    for head in (Categorical(space), Sampling(space)):
        head.begin(TICKS, SLOTS, np.random.default_rng(7), 0)
        outputs = said_by(space)
        drawn.append([head.act(tick, outputs[tick])[""].tolist() for tick in range(TICKS)])
    assert drawn[0] == drawn[1]


def test_entries_are_drawn_independently_with_their_probabilities() -> None:
    space = {"": Leaf("uint8", (2,), n=3, nvec=(2, 3))}
    head = Sampling(space)
    head.begin(200, 200, np.random.default_rng(2), 0)
    shares = np.array([0.3, 0.7]), np.array([0.5, 0.1, 0.4])
    logits = np.log(np.concatenate(shares)).astype(np.float32)
    outputs = {"logits": np.tile(logits, (200, 1))}
    actions = np.stack([head.act(tick, outputs)[""] for tick in range(200)]).reshape(-1, 2)

    counts = np.bincount(actions[:, 0] * 3 + actions[:, 1], minlength=6)

    # One in 1,000 of χ² with 5 degrees of freedom is above 20.52.
    assert chi_squared(counts, np.outer(*shares).ravel()) < 20.52


def test_numbers_are_drawn_around_the_mean() -> None:
    head = Sampling({"": Leaf("float32", ())})
    head.begin(100, 200, np.random.default_rng(2), 0)
    outputs = {
        "mean": np.full((200, 1), 3.0, np.float32),
        "log_std": np.full((200, 1), math.log(2.0), np.float32),
    }
    actions = np.stack([head.act(tick, outputs)[""] for tick in range(100)])
    assert kolmogorov(actions, lambda x: normal((x - 3.0) / 2.0)) < 1.95


def test_a_mask_holds_for_entries() -> None:
    # Given 2 and 3 values, of which one each is not allowed
    space = {"": Leaf("uint8", (2,), n=3, nvec=(2, 3))}
    mask = np.array([[True, False, True, False, True]] * 300)
    outputs = {"logits": np.tile(np.array([0, 9, 0, 9, 0], np.float32), (300, 1))}
    head = Sampling(space)
    head.begin(1, 300, np.random.default_rng(2), 0)
    actions = head.act(0, outputs, mask)[""]
    assert set(map(tuple, actions.tolist())) == {(0, 0), (0, 2)}
    # Then the probability is shared among the rest
    assert head.recorded()[LOG_PROB] == pytest.approx(np.full((1, 300), math.log(0.5)), abs=1e-5)
    best = greedy_head("categorical", space).act(0, outputs, mask)[""]
    assert best.tolist() == [[0, 0]] * 300


def test_the_head_of_an_experiment_fits_its_actions() -> None:
    assert isinstance(make_head("categorical", {}, SPACES["discrete"]), Categorical)
    nested = make_head("categorical", {"record_entropy": True}, SPACES["nested"])
    assert nested.outputs == (
        "mean/arm/turn",
        "log_std/arm/turn",
        "logits/arm/grip",
        "logits/keys",
    )
    assert nested.extras.keys() == {LOG_PROB, ENTROPY}
    named = make_head("categorical", {}, {"go": Leaf("uint8", (), n=2)})
    assert named.outputs == ("logits",)
    named.begin(1, 1, np.random.default_rng(0), 0)
    assert named.act(0, {"logits": np.array([[0, 100]], np.float32)})["go"].tolist() == [1]


@pytest.mark.parametrize(("name", "expected"), [("categorical", 2.0), ("squashed", math.tanh(2.0))])
def test_the_greedy_action_of_numbers_is_the_middle(name: str, expected: float) -> None:
    outputs = {"mean": np.full((3, 2), 2.0, np.float32), "log_std": np.zeros((3, 2), np.float32)}
    for head in (greedy_head(name, BOX), evaluation_head(name, BOX)):
        head.begin(1, 3, np.random.default_rng(0), 0)
        assert head.act(0, outputs)[""] == pytest.approx(np.full((3, 2), expected))
        assert head.recorded() == {}
    sampled = evaluation_head(name, BOX, sample=True)
    sampled.begin(1, 3, np.random.default_rng(0), 0)
    assert len(np.unique(sampled.act(0, outputs)[""])) == 6
