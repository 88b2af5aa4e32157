from __future__ import annotations

import numpy as np
import pytest

from tinyqueue.algorithms.state import restore_variables, values
from tinyqueue.data.spaces import Arrays
from tinyqueue.errors import CheckpointError
from tinyqueue.models.keras_import import import_keras

SAVED: Arrays = {"a": np.array([1, 2], np.float32), "b": np.array([3], np.float32)}


def test_values_that_were_restored_are_read_again_as_copies() -> None:
    tf, _ = import_keras()
    variables = {"a": tf.Variable([0.0, 0.0]), "b": tf.Variable([0.0])}
    restore_variables(variables, SAVED)
    read = values(variables)
    assert {name: array.tolist() for name, array in read.items()} == {"a": [1, 2], "b": [3]}
    variables["b"].assign([9.0])
    assert read["b"].tolist() == [3.0]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"a": SAVED["a"]}, r"missing \['b'\]"),
        ({**SAVED, "c": SAVED["a"]}, r"unknown \['c'\]"),
        ({**SAVED, "b": np.zeros(2, np.float32)}, r"b: float32\[2\] saved, float32\[1\] wanted"),
        ({**SAVED, "b": np.zeros(1)}, r"b: float64\[1\] saved, float32\[1\] wanted"),
    ],
    ids=["missing", "unknown", "shape", "type"],
)
def test_a_state_of_another_model_is_refused_before_anything_is_assigned(
    state: Arrays, said: str
) -> None:
    tf, _ = import_keras()
    variables = {"a": tf.Variable([0.0, 0.0]), "b": tf.Variable([0.0])}
    with pytest.raises(CheckpointError, match=said):
        restore_variables(variables, state)
    assert [v.numpy().tolist() for v in variables.values()] == [[0.0, 0.0], [0.0]]
