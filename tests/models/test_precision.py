from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinyqueue.data.spaces import Leaf, stacked
from tinyqueue.models.keras_import import import_keras
from tinyqueue.models.network import Network, Output
from tinyqueue.models.precision import dtype_policy, has_bfloat16
from tinyqueue.models.registry import MODELS

ATARI = stacked({"": Leaf("uint8", (84, 84), low=0.0, high=255.0)}, 4)
ACTIONS = {"": Leaf("uint8", (), n=6)}
OUTPUTS = {"logits": Output(6), "value": Output(1)}


@pytest.mark.parametrize(
    ("flags", "has_it"),
    [
        ("fpu avx512f avx512_bf16 sha_ni", True),
        ("fpu amx_bf16 amx_tile", True),
        ("fpu avx512f avx512_vnni", False),
        ("fpu not_avx512_bf16", False),
    ],
)
def test_auto_is_what_the_processor_multiplies(tmp_path: Path, flags: str, has_it: bool) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\nflags\t\t: fpu\n")
    assert has_bfloat16(cpuinfo) is has_it
    assert dtype_policy("auto", cpuinfo) == ("mixed_bfloat16" if has_it else "float32")
    assert dtype_policy("float32", cpuinfo) == "float32"
    assert dtype_policy("bfloat16", cpuinfo) == "mixed_bfloat16"


def test_a_processor_that_says_nothing_computes_in_float32(tmp_path: Path) -> None:
    assert dtype_policy("auto", tmp_path / "absent") == "float32"


def network(name: str, precision: str) -> Network:
    entry = MODELS[name]
    return entry.build(ATARI, ACTIONS, OUTPUTS, entry.config(precision=precision), 1)


@pytest.mark.parametrize("name", ["nature", "shallow", "impala"])
def test_bfloat16_is_near_float32_and_all_but_the_layers_inside_stays_float32(name: str) -> None:
    # Given the same weights in both precisions
    tf, _ = import_keras()
    exact, mixed = network(name, "float32"), network(name, "bfloat16")
    frames = np.random.default_rng(0).integers(0, 256, (8, 4, 84, 84)).astype(np.uint8)
    gradients = []
    for each in (exact, mixed):
        variables = list(each.trainable_variables.values())
        with tf.GradientTape() as tape:
            outputs = each.apply({"": frames})
            loss = tf.add_n([tf.reduce_sum(tf.square(x)) for x in outputs.values()])
        gradients.append((outputs, tape.gradient(loss, variables)))
    (exactly, exact_gradients), (roughly, rough_gradients) = gradients

    # Then variables, gradients and outputs are float32
    assert {v.dtype.name for v in mixed.variables.values()} == {"float32"}
    assert {g.dtype.name for g in rough_gradients} == {"float32"}
    assert {x.dtype.name for x in roughly.values()} == {"float32"}
    # And they differ, by eight bits of mantissa in each of some layers
    for output in ("logits", "value"):
        one, other = exactly[output].numpy(), roughly[output].numpy()
        assert 0 < np.abs(one - other).max() < 0.03 * np.abs(one).max()
    apart = [one - other for one, other in zip(exact_gradients, rough_gradients, strict=True)]
    assert all(float(tf.norm(each)) > 0 for each in apart)
    # As a whole, since steps go along it: single biases nearly cancel over the pixels, and what is
    # left of them depends on the number of threads that sum them.
    whole, error = (float(tf.linalg.global_norm(each)) for each in (exact_gradients, apart))
    assert error < 0.08 * whole
