"""LayerNorm in every model: where it stands, what it does, and that players see the same."""

from __future__ import annotations

import numpy as np
import pytest

from tinyqueue.data.spaces import Array, Leaf, Space, stacked
from tinyqueue.models.network import Network, Output
from tinyqueue.models.registry import MODELS
from tinyqueue.policy.export import PolicyExport
from tinyqueue.policy.runner import PolicyRunner

PIXELS = stacked({"": Leaf("uint8", (84, 84), low=0.0, high=255.0)}, 4)
SEEN: dict[str, Space] = {
    "mlp": {"": Leaf("float32", (4,))},
    "nature": PIXELS,
    "shallow": PIXELS,
    "impala": PIXELS,
    "minatar": {"": Leaf("bool", (10, 10, 4), low=0.0, high=1.0)},
}
ACTIONS: Space = {"": Leaf("uint8", (), n=3)}
NORMALISED = {
    "mlp": ["q_hidden_0", "q_hidden_1"],
    "nature": ["convolution_0", "convolution_1", "convolution_2", "dense"],
    "shallow": ["convolution_0", "convolution_1", "dense"],
    "minatar": ["convolution_0", "dense"],
    "impala": [
        *(
            f"section_{section}_block_{block}_0{place}"
            for section in range(3)
            for block in range(2)
            for place in ("", "_before")
        ),
        "sections",
        "dense",
    ],
}


def built(name: str, *, layer_norm: bool = True) -> Network:
    entry = MODELS[name]
    options = {} if name == "mlp" else {"precision": "float32"}
    config = entry.config(layer_norm=layer_norm, **options)
    return entry.build(SEEN[name], ACTIONS, {"q": Output(3)}, config, 5)


def rows(space: Space, count: int = 6) -> dict[str, Array]:
    rng = np.random.default_rng(0)
    return {
        path: (rng.normal(size=(count, *leaf.shape)) * 50 + 100).astype(leaf.dtype)
        for path, leaf in space.items()
    }


def norms(network: Network) -> list[str]:
    return sorted(
        v.path.removesuffix("_norm/gamma") for v in network.step.variables if "gamma" in v.path
    )


@pytest.mark.parametrize("name", SEEN)
def test_it_stands_in_every_layer_before_the_heads(name: str) -> None:
    assert norms(built(name)) == sorted(NORMALISED[name])
    assert not norms(built(name, layer_norm=False))


@pytest.mark.parametrize("name", ["mlp", "nature", "shallow", "minatar"])
def test_the_scale_of_a_layer_has_no_effect(name: str) -> None:
    network = built(name)
    before = np.asarray(network.apply(rows(SEEN[name]))["q"])
    first = next(v for v in network.step.variables if v.path.endswith("0/kernel"))
    first.assign(first.numpy() * 7)
    np.testing.assert_allclose(np.asarray(network.apply(rows(SEEN[name]))["q"]), before, atol=1e-2)
    plain = built(name, layer_norm=False)
    before = np.asarray(plain.apply(rows(SEEN[name]))["q"])
    first = next(v for v in plain.step.variables if v.path.endswith("0/kernel"))
    first.assign(first.numpy() * 7)
    assert np.abs(np.asarray(plain.apply(rows(SEEN[name]))["q"]) - before).max() > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEN)
def test_players_see_the_same(name: str) -> None:
    network = built(name)
    rng = np.random.default_rng(1)
    for variable in network.variables.values():
        variable.assign(variable.numpy() + rng.normal(0, 0.05, variable.shape))
    export = PolicyExport(network, ("q",))
    runner = PolicyRunner(export.graph, export.arrays(), 0)
    seen = rows(SEEN[name])
    outputs, _ = runner.run(seen, {})
    theirs = np.asarray(network.apply(seen)["q"])
    np.testing.assert_allclose(outputs["q"], theirs, rtol=1e-3, atol=1e-3)
