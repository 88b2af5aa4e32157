"""Dead units are counted from what an optimiser keeps."""

import sys

import numpy as np
import pytest

from tinyqueue.algorithms.dead_units import dead_units
from tinyqueue.algorithms.descent import Descent
from tinyqueue.data.spaces import Leaf
from tinyqueue.models.mlp import MlpConfig
from tinyqueue.models.network import Output
from tinyqueue.models.registry import MODELS, build_network

UNITS = 16
OUTPUTS = 1
BOX = {"": Leaf("float32", (3,))}
STEPS = 120


def trained(dead, *, optimiser="adam", layer_norm=False, dies_after=0):
    """The checkpoint of a network of one layer, some of whose ReLUs are driven far below 0."""
    import tensorflow as tf

    config = MlpConfig(hidden=(UNITS,), activation="relu", layer_norm=layer_norm)
    outputs = {"value": Output(OUTPUTS)}
    network = build_network(MODELS["mlp"], BOX, {"": Leaf("uint8", (), n=2)}, outputs, config, 3)
    descent = Descent(network, optimiser, epsilon=1e-8, max_grad_norm=1.0)
    which = "hidden_0_norm/beta" if layer_norm else "hidden_0/bias"
    (bias,) = (v for name, v in network.trainable_variables.items() if name.endswith(which))
    rng = np.random.default_rng(0)
    seen = tf.constant(rng.normal(size=(64, 3)), tf.float32)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((network.apply({"": seen})["value"] - seen[:, 0]) ** 2)
        descent.step(tape, loss, tf.constant(1e-3))

    for number in range(STEPS + dies_after):
        if number == dies_after:
            bias.assign(tf.where(tf.range(UNITS) < dead, -1e3, bias))
        step()
    return {name: variable.numpy() for name, variable in descent.kept.items()}


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("dead", [0, 1, 5, UNITS])
def test_units_that_never_learned_are_counted(dead, layer_norm):
    assert dead_units(trained(dead, layer_norm=layer_norm)) == dead / (UNITS + OUTPUTS)


@pytest.mark.parametrize("optimiser", ["adam", "radam"])
def test_units_that_have_died_are_counted(optimiser):
    state = trained(5, optimiser=optimiser, dies_after=50)
    assert dead_units(state) == 5 / (UNITS + OUTPUTS)


def test_an_optimiser_without_both_moments_does_not_tell():
    assert dead_units(trained(5, optimiser="rmsprop")) is None


def test_before_a_hundred_steps_nothing_is_known(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "STEPS", 90)
    assert dead_units(trained(5)) is None


def test_each_network_of_an_algorithm_is_counted():
    state = trained(5)
    twice = {
        f"{kind}/{name}": array for kind in ("actor", "critic") for name, array in state.items()
    }
    assert dead_units(twice) == dead_units(state)
    assert dead_units({**twice, **trained(0)}) == pytest.approx(10 / 3 / (UNITS + OUTPUTS))
