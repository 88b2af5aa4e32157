"""Given the distribution of a whole action."""

from __future__ import annotations

import math

import numpy as np
import pytest
from formulas import agreed, assert_gradient, assert_same_in_a_graph, chi_squared

from tinyqueue.data.spaces import Array, Arrays, Leaf, Space
from tinyqueue.distributions import Factored, Parameter, categorical, gaussian
from tinyqueue.errors import ConfigError

SPACES: dict[str, Space] = {
    "discrete": {"": Leaf("uint8", (), n=3)},
    "equal entries": {"": Leaf("uint8", (2,), n=3, nvec=(3, 3))},
    "other entries": {"": Leaf("uint8", (2, 2), n=4, nvec=(2, 4, 3, 1))},
    "binary": {"": Leaf("int8", (2, 3), n=2)},
    "two values": {"": Leaf("uint8", (3,), n=2, nvec=(2, 2, 2))},
    "box": {"": Leaf("float32", (2, 2), low=-1.0, high=1.0)},
    "scalar box": {"": Leaf("float32", ())},
    "nested": {
        "arm/angle": Leaf("float32", (2,)),
        "arm/grip": Leaf("uint8", (), n=2),
        "keys": Leaf("uint8", (3,), n=5, nvec=(5, 2, 3)),
        "lamps": Leaf("int8", (4,), n=2),
    },
}


def outputs_of(factored: Factored, lead: tuple[int, ...], seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(size=(*lead, parameter.size)).astype(np.float32)
        for name, parameter in factored.parameters.items()
    }


def drawn(factored: Factored, outputs: Arrays, lead: tuple[int, ...], seed: int = 9) -> Arrays:
    return factored.draw(outputs, factored.noise(np.random.default_rng(seed), *lead))


@pytest.mark.parametrize("name", SPACES)
def test_numpy_and_keras_agree_in_every_space(name: str) -> None:
    factored, seed = Factored(SPACES[name]), 5
    outputs, others = outputs_of(factored, (4, 3), seed), outputs_of(factored, (4, 3), seed + 1)
    actions = drawn(factored, outputs, (4, 3), seed)
    names, paths, count = list(outputs), list(actions), len(outputs)

    def log_prob(xp: object, *tensors: object) -> object:
        said = dict(zip(names, tensors[:count], strict=True))
        return factored.log_prob(xp, said, dict(zip(paths, tensors[count:], strict=True)))

    def kl(xp: object, *tensors: object) -> object:
        p, q = tensors[:count], tensors[count:]
        return factored.kl(xp, dict(zip(names, p, strict=True)), dict(zip(names, q, strict=True)))

    def entropy(xp: object, *tensors: object) -> object:
        return factored.entropy(xp, dict(zip(names, tensors, strict=True)))

    found = agreed(log_prob, *outputs.values(), *actions.values())
    assert found.shape == (4, 3)
    if not factored.is_density:
        assert (found <= 0).all()
    assert agreed(entropy, *outputs.values()).shape == (4, 3)
    assert (agreed(kl, *outputs.values(), *others.values()) >= -1e-5).all()
    assert_same_in_a_graph(log_prob, *outputs.values(), *actions.values())
    assert_same_in_a_graph(entropy, *outputs.values())
    floats = {path for path in paths if not SPACES[name][path].is_discrete}
    assert_gradient(
        log_prob,
        *outputs.values(),
        fixed=tuple(a.astype(float) if p in floats else a for p, a in actions.items()),
    )
    assert_gradient(entropy, *outputs.values())


@pytest.mark.parametrize("name", SPACES)
def test_draws_and_modes_are_actions_of_the_space(name: str) -> None:
    factored = Factored(SPACES[name])
    outputs = outputs_of(factored, (50,), 3)
    for actions in (drawn(factored, outputs, (50,)), factored.mode(outputs)):
        assert list(actions) == list(SPACES[name])
        for path, leaf in SPACES[name].items():
            array = actions[path]
            assert (array.dtype, array.shape) == (leaf.dtype, (50, *leaf.shape))
            if leaf.is_discrete:
                assert (array.reshape(50, -1) < leaf.counts).all()
                assert array.min() >= 0


def test_parameters_are_named_by_kind_and_path() -> None:
    assert Factored(SPACES["discrete"]).parameters == {"logits": Parameter(3)}
    assert Factored(SPACES["box"]).parameters == {
        "mean": Parameter(4),
        "log_std": Parameter(4, state_independent=True),
    }
    assert Factored(SPACES["box"], "squashed_gaussian").parameters == {
        "mean": Parameter(4),
        "log_std": Parameter(4),
    }
    assert Factored(SPACES["nested"]).parameters == {
        "mean/arm/angle": Parameter(2),
        "log_std/arm/angle": Parameter(2, state_independent=True),
        "logits/arm/grip": Parameter(2),
        "logits/keys": Parameter(10),
        "logits/lamps": Parameter(4),
    }


def test_a_continuous_leaf_makes_it_a_density() -> None:
    found = {name: Factored(space).is_density for name, space in SPACES.items()}
    assert [name for name, density in found.items() if density] == ["box", "scalar box", "nested"]


def test_leaves_add() -> None:
    # Given a number and a choice of two
    space = {"a": Leaf("float32", (2,)), "b": Leaf("uint8", (), n=2)}
    factored = Factored(space)
    outputs = {
        "mean/a": np.array([[0.0, 1.0]], np.float32),
        "log_std/a": np.array([[0.0, 0.5]], np.float32),
        "logits/b": np.array([[0.0, math.log(3.0)]], np.float32),
    }
    actions = {"a": np.array([[0.5, 0.0]], np.float32), "b": np.array([1], np.uint8)}
    # Then the log-density is the sum of both, and so are the others
    numbers = outputs["mean/a"], outputs["log_std/a"]
    expected = gaussian.log_prob(np, *numbers, actions["a"]).sum() + math.log(0.75)
    assert factored.log_prob(np, outputs, actions) == pytest.approx(expected)
    expected = gaussian.entropy(np, *numbers).sum() + categorical.entropy(np, outputs["logits/b"])
    assert factored.entropy(np, outputs) == pytest.approx(expected)
    assert factored.kl(np, outputs, outputs) == pytest.approx([0.0], abs=1e-6)
    mode = factored.mode(outputs)
    assert (mode["a"].tolist(), mode["b"].tolist()) == ([[0.0, 1.0]], [1])


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("box", (5, 4)),
        ("box", (2, 2)),
        ("box", (5, 1, 1)),
        ("scalar box", (5, 1)),
        ("scalar box", ()),
        ("binary", (5, 1, 3)),
        ("binary", (1, 2, 3)),
        ("two values", (5, 1)),
        ("discrete", (5, 1)),
    ],
)
def test_actions_that_would_broadcast_are_refused(name: str, shape: tuple[int, ...]) -> None:
    factored = Factored(SPACES[name])
    outputs = outputs_of(factored, (5,), 1)
    actions = np.zeros(shape, SPACES[name][""].dtype)
    with pytest.raises(AssertionError):
        factored.log_prob(np, outputs, {"": actions})


def test_entries_of_different_counts_lie_one_after_the_other() -> None:
    # Given entries of 2, 4, 3 and 1 values, so 10 logits
    factored = Factored(SPACES["other entries"])
    logits = np.random.default_rng(4).normal(size=(1, 10)).astype(np.float32)
    actions = np.array([[[1, 3], [0, 0]]], np.uint8)
    # Then each is a categorical of its own
    parts = np.split(logits, [2, 6, 9], axis=1)
    expected = sum(
        categorical.log_prob(np, part, actions.reshape(1, 4)[:, i]) for i, part in enumerate(parts)
    )
    found = factored.log_prob(np, {"logits": logits}, {"": actions})
    assert found == pytest.approx(expected)
    entropy = sum(categorical.entropy(np, part) for part in parts)
    assert factored.entropy(np, {"logits": logits}) == pytest.approx(entropy)
    mode = factored.mode({"logits": logits})[""].reshape(4)
    assert mode.tolist() == [int(part.argmax()) for part in parts]


def test_joint_draws_are_as_probable_as_told() -> None:
    # Given every joint action of 2 × 3 values with its probability
    factored = Factored({"": Leaf("uint8", (2,), n=3, nvec=(2, 3))})
    logits = np.array([0.4, -0.3, 1.0, 0.0, -1.0], np.float32)
    every = np.array([[a, b] for a in range(2) for b in range(3)], np.uint8)
    told = np.exp(factored.log_prob(np, {"logits": np.tile(logits, (6, 1))}, {"": every}))
    assert told.sum() == pytest.approx(1.0)
    # When many are drawn
    actions = drawn(factored, {"logits": np.tile(logits, (40_000, 1))}, (40_000,))[""]
    counts = np.bincount(actions[:, 0].astype(int) * 3 + actions[:, 1], minlength=6)
    # Then they are: one in 1,000 of χ² with 5 degrees of freedom is above 20.52
    assert chi_squared(counts, told) < 20.52


def test_actions_do_not_lie_in_the_buffers_of_outputs() -> None:
    factored = Factored(SPACES["box"])
    outputs = outputs_of(factored, (2,), 1)
    before: Array = outputs["mean"].copy()
    actions = factored.mode(outputs)[""]
    outputs["mean"][...] = 99.0
    np.testing.assert_array_equal(actions.reshape(2, 4), before)


def test_squashing_needs_bounds() -> None:
    with pytest.raises(
        ConfigError,
        match=r"the action arm/angle is a Box without finite bounds .* Use ppo or impala",
    ):
        Factored(SPACES["nested"], "squashed_gaussian")


def test_outputs_of_another_size_are_noticed() -> None:
    factored = Factored(SPACES["discrete"])
    with pytest.raises(AssertionError):
        factored.entropy(np, {"logits": np.zeros((2, 4), np.float32)})


def test_a_mask_takes_values_away_in_both_modules() -> None:
    from keras import ops

    # Given two entries, of which one value each is not valid
    factored = Factored({"": Leaf("uint8", (2,), n=3, nvec=(2, 3))})
    outputs = outputs_of(factored, (4,), 3) | {"value": np.ones(4, np.float32)}
    mask = np.tile([True, False, True, False, True], (4, 1))
    masked = factored.masked(np, outputs, mask)
    # Then the rest has all the probability, and what is no logit is as it was
    every = [{"": np.tile(np.array([0, last], np.uint8), (4, 1))} for last in (0, 2)]
    told = [np.exp(factored.log_prob(np, masked, actions)) for actions in every]
    np.testing.assert_allclose(np.sum(told, axis=0), 1.0, rtol=1e-6)
    assert masked["value"] is outputs["value"]
    assert np.isfinite(factored.entropy(np, masked)).all()
    np.testing.assert_array_equal(factored.masked(ops, outputs, mask)["logits"], masked["logits"])
