"""Cells against Keras's own, which are computed in another order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinyqueue.models.cells import Cell
from tinyqueue.models.keras_import import import_keras

TICKS, SLOTS, WIDTH, UNITS = 7, 4, 3, 5


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_an_unrolled_cell_is_that_of_keras_with_the_same_weights(kind: Any) -> None:
    _, keras = import_keras()
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(TICKS, SLOTS, WIDTH)).astype(np.float32)
    # Given our cell and Keras's with the same weights
    cell = Cell(kind, UNITS, 0)
    nought = {path: np.zeros((SLOTS, *shape), np.float32) for path, shape in cell.state.items()}
    cell.tick(cell.product(seen[0]), nought)
    theirs = (keras.layers.LSTM if kind == "lstm" else keras.layers.GRU)(
        UNITS, return_sequences=True
    )
    theirs.build((SLOTS, TICKS, WIDTH))
    kernel, recurrent, bias = (v.numpy() for v in theirs.weights)
    bias = rng.normal(size=bias.shape).astype(np.float32)
    theirs.set_weights([kernel, recurrent, bias])
    cell.product.set_weights([kernel, bias if kind == "lstm" else bias[0]])
    cell._recurrent.set_weights([recurrent] if kind == "lstm" else [recurrent, bias[1]])
    # When both see the same
    products = np.stack([np.asarray(cell.product(row)) for row in seen])
    starts = np.zeros((TICKS, SLOTS), bool)
    hidden, _ = cell.unroll(products, nought, starts, None)
    expected = np.asarray(theirs(seen.transpose(1, 0, 2))).transpose(1, 0, 2)
    np.testing.assert_allclose(hidden, expected, atol=1e-6)


def test_the_forget_gate_begins_open() -> None:
    cell = Cell("lstm", 2, 0)
    cell.product.build((None, 3))
    assert cell.product.bias.numpy().tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
