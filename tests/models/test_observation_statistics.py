"""Normalised observations: what networks and players' graphs make of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from tinyqueue.algorithms.state import target_of
from tinyqueue.data.spaces import Arrays, Leaf, Space, stacked
from tinyqueue.models.image_leaves import is_image
from tinyqueue.models.mlp import MlpConfig
from tinyqueue.models.network import Network, Output
from tinyqueue.models.registry import MODELS, build_network
from tinyqueue.policy.export import PolicyExport
from tinyqueue.policy.runner import PolicyRunner

ACTIONS = {"": Leaf("uint8", (), n=2)}
OUTPUTS = {"logits": Output(2), "value": Output(1)}
MIXED: Space = {
    "arm/angle": Leaf("float32", (2, 2)),
    "place": Leaf("uint8", (), n=3),
    "camera": Leaf("uint8", (2, 2), low=0.0, high=255.0),
    "speed": Leaf("float32", ()),
}


def made(space: Space = MIXED, normalises: bool = True, **config: Any) -> Network:
    layers = MlpConfig(hidden=(8,), **config)
    entry = MODELS["mlp"]
    return build_network(entry, space, ACTIONS, OUTPUTS, layers, 3, normalises=normalises)


def assign(network: Network, path: str, mean: object, deviation: object) -> None:
    layer = network.statistics[path]
    layer.mean.assign(np.asarray(mean, np.float32))
    layer.deviation.assign(np.asarray(deviation, np.float32))


def drawn(space: Space, rows: int = 5) -> Arrays:
    rng = np.random.default_rng(0)
    return {
        path: rng.integers(0, leaf.n or 255, (rows, *leaf.shape)).astype(leaf.dtype)
        if leaf.dtype == "uint8"
        else rng.normal(100, 3, (rows, *leaf.shape)).astype(np.float32)
        for path, leaf in space.items()
    }


def called(network: Network, observations: Arrays) -> Arrays:
    return {name: np.asarray(x) for name, x in network.apply(observations).items()}


def test_real_numbers_are_normalised_by_element_and_nothing_else_is() -> None:
    # Given a network behind statistics, and the same one without
    network, plain = made(), made(normalises=False)
    assert sorted(network.statistics) == ["arm/angle", "speed"]
    assign(network, "arm/angle", [[100, 101], [102, 103]], [[1, 2], [3, 4]])
    assign(network, "speed", 99, 2)
    observations = drawn(MIXED)

    # When the second sees what was normalised by hand
    by_hand = dict(observations)
    offsets, scales = np.array([[100, 101], [102, 103]]), np.array([[1, 2], [3, 4]])
    by_hand["arm/angle"] = ((observations["arm/angle"] - offsets) / scales).astype(np.float32)
    by_hand["speed"] = (observations["speed"] - 99) / 2

    # Then both say the same
    expected, found = called(plain, by_hand), called(network, observations)
    for name in OUTPUTS:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6)


def test_at_first_a_network_is_as_it_would_be_without_and_only_gradients_train_it() -> None:
    network, plain = made(), made(normalises=False)

    assert network.trainable_variables.keys() == plain.trainable_variables.keys()
    assert set(network.variables) - set(plain.variables) == network.shared
    small = {path: x / 100 if x.dtype == np.float32 else x for path, x in drawn(MIXED).items()}
    for name, found in called(network, small).items():
        np.testing.assert_array_equal(found, called(plain, small)[name])


def test_what_is_far_away_is_clipped_to_ten_deviations() -> None:
    space = {"": Leaf("float32", (2,))}
    network = made(space)
    assign(network, "", [5, 5], [1e-4, 1e-4])

    far, at_the_bound = np.array([[1e30, -1e30]]), 5 + 1e-3 * np.array([[1.01, -1.01]])

    near, beyond = (called(network, {"": x.astype(np.float32)}) for x in (at_the_bound, far))
    np.testing.assert_array_equal(near["value"], beyond["value"])
    assert np.isfinite(beyond["logits"]).all()


@pytest.mark.parametrize("core", ["none", "lstm", "gru"])
def test_players_see_what_the_learner_sees(core: Any) -> None:
    # Given statistics far from the first ones, in the weights of an exported policy
    network = made(core=core, core_units=4, previous=core != "none")
    assign(network, "arm/angle", [[100, 101], [102, 103]], [[1, 2], [3, 4]])
    assign(network, "speed", 99, 0.5)
    export = PolicyExport(network, ("logits",))
    weights = export.arrays()
    assert network.shared <= set(weights)

    # When a player's graph and the network see the same
    runner = PolicyRunner(export.graph, weights, 0)
    seen = drawn(MIXED)
    state = {path: np.zeros((5, *shape), np.float32) for path, shape in network.state.items()}
    before = ({"": np.ones(5, np.uint8)}, np.full(5, 0.3, np.float32))
    played, _ = runner.run(seen, state, before if network.uses_previous else None)

    # Then logits are equal, in training's loop over time as well
    unrolled, _ = network.unroll(
        {path: x[None] for path, x in seen.items()},
        state,
        np.zeros((1, 5), bool),
        {"": before[0][""][None]},
        before[1][None],
    )
    np.testing.assert_allclose(played["logits"], unrolled["logits"][0], rtol=1e-4, atol=1e-5)


def test_frames_of_a_stack_share_statistics() -> None:
    space = stacked({"": Leaf("float32", (2,))}, 3)
    network, plain = made(space), made(space, normalises=False)
    assign(network, "", [1, 2], [2, 4])
    frames = np.random.default_rng(0).normal(size=(5, 3, 2)).astype(np.float32)

    found = called(network, {"": frames})["value"]

    by_hand = ((frames - np.array([1, 2])) / np.array([2, 4])).astype(np.float32)
    np.testing.assert_allclose(found, called(plain, {"": by_hand})["value"], rtol=1e-5, atol=1e-6)


def test_further_networks_and_targets_share_the_statistics_and_nothing_else() -> None:
    # Given a network, another of its model with one more input, and a target of that
    network = made()
    seen = {**MIXED, "action": Leaf("float32", (1,))}
    critic = network.another(seen, {"q": Output(1)}, 0)
    target = target_of(critic)

    # When statistics change
    assign(network, "speed", 42, 7)

    # Then both have them, the action has none, and the target's weights are its own
    assert critic.shared == network.shared
    name = "observation_statistics_speed/mean"
    assert float(critic.variables[name]) == float(target[name]) == 42.0
    for path, variable in critic.variables.items():
        assert (target[path] is variable) == (path in network.shared)


def test_without_real_numbers_a_network_is_unchanged() -> None:
    space = {"": Leaf("uint8", (2, 2), low=0.0, high=255.0)}

    assert made(space).variables.keys() == made(space, normalises=False).variables.keys()


SEEN = [
    (Leaf("float32", (36, 36), low=0.0, high=255.0), True),
    (Leaf("float32", (36, 36), low=0.0, high=255.0), False),
    (Leaf("float32", (36, 36)), True),
    (Leaf("float32", (2, 36, 40), low=0.0, high=4.0), True),
    (Leaf("float32", (36, 36, 2)), False),
    (Leaf("uint8", (36, 36), low=0.0, high=255.0), True),
    (Leaf("uint8", (36, 36), low=0.0, high=51.0), True),
    (Leaf("uint8", (36, 36, 2)), True),
    (Leaf("int32", (36, 36, 2), low=0.0, high=1000.0), False),
    (Leaf("bool", (36, 36, 2), low=0.0, high=1.0), True),
]
"""What the environment shows, and whether it is to be normalised."""


def divided_by(leaf: Leaf, convolves: bool) -> float:
    """What a model divides numbers from 0 by, as docs/algorithms.md says."""
    if not convolves and leaf.dtype == "float32":
        return 1.0
    if leaf.high is not None:
        return leaf.high
    return 255.0 if convolves and leaf.dtype == "uint8" else 1.0


@pytest.mark.slow
@pytest.mark.parametrize("stack", [1, 2])
@pytest.mark.parametrize("name", MODELS)
def test_every_model_brings_numbers_to_a_common_size_once(name: str, stack: int) -> None:
    entry = MODELS[name]
    exact = {"precision": "float32", "channels": "auto"} if name != "mlp" else {}

    @cache
    def network_of(leaf: Leaf, normalises: bool) -> Network:
        space, config = stacked({"": leaf}, stack), entry.config(**exact)
        return build_network(entry, space, ACTIONS, OUTPUTS, config, 3, normalises=normalises)

    for leaf, normalises in SEEN:
        # Given a network with statistics, if this is to be normalised
        network = network_of(leaf, normalises)
        is_normalised = normalises and leaf.dtype == "float32" and len(leaf.shape) == 2
        assert bool(network.statistics) == is_normalised

        # When a network that scales nothing sees the same, normalised or divided by hand
        convolves = name != "mlp" and (name != "multi-input" or is_image(leaf))
        most = leaf.high or 255.0
        frames = (2, stack, *leaf.shape) if stack > 1 else (2, *leaf.shape)
        uniform = np.random.default_rng(0).uniform(0, most, frames)
        seen = uniform > 0.5 if leaf.dtype == "bool" else uniform.astype(leaf.dtype)
        by_hand = seen.astype(np.float32) / divided_by(leaf, convolves)
        if is_normalised:
            assign(network, "", np.full(leaf.shape, most / 2), np.full(leaf.shape, most / 4))
            by_hand = (seen - np.float32(most / 2)) / np.float32(most / 4)
        # Two axes of floats are no image for multi-input; a channel more makes them one.
        extra = (1,) if convolves and len(leaf.shape) == 2 else ()
        plain = network_of(Leaf("float32", (*leaf.shape, *extra)), False)
        by_hand = by_hand.reshape((*frames, *extra)).astype(np.float32)

        # Then both say the same
        expected, found = called(plain, {"": by_hand}), called(network, {"": seen})
        for output in OUTPUTS:
            np.testing.assert_allclose(found[output], expected[output], rtol=1e-3, atol=1e-4)
