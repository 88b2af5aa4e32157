from __future__ import annotations

from typing import Any

import numpy as np

from tinyqueue.algorithms.descent import Compiled


def test_a_function_is_traced_once_per_shape_and_given_what_it_was_called_with() -> None:
    import tensorflow as tf

    traced = []

    def function(scale: Any, nested: dict[str, tuple[Any, Any]]) -> Any:
        traced.append(nested["b"][0].shape[0])
        return tf.reduce_sum(scale * nested["b"][0]) - nested["a"][1][0]

    compiled = Compiled(function)
    for length in (2, 3, 2):
        # Given a dict whose keys are not in the order of the alphabet
        rows = np.ones(length, np.float32)
        result = compiled(np.float32(10), {"b": (rows, rows), "a": (0 * rows, 5 * rows)})
        assert result == 10 * length - 5
    assert traced == [2, 3]
