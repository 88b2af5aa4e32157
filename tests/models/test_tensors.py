from __future__ import annotations

import numpy as np
import pytest

from tinyqueue.models.keras_import import import_keras
from tinyqueue.models.tensors import require

ZEROS = np.zeros((3, 2), np.float32)


def test_arrays_and_tensors_that_fit_are_let_through() -> None:
    tf, _ = import_keras()
    for x in (ZEROS, tf.constant(ZEROS)):
        require((3, 2), "float32", x=x)
        require((None, 2), "float32", x=x)


def test_a_size_that_a_graph_does_not_know_yet_fits() -> None:
    tf, _ = import_keras()

    def checked(x: object) -> object:
        require((3, 2), "bool", x=x)
        return x

    signature = [tf.TensorSpec((None, 2), tf.bool)]
    graph = tf.function(checked, input_signature=signature, autograph=False)
    assert graph(tf.zeros((3, 2), tf.bool)).shape == (3, 2)


@pytest.mark.parametrize(
    ("shape", "dtype", "said"),
    [
        ((3,), "float32", r"y must be float32\[3\], not float32\[3, 2\]"),
        ((None, 4), "float32", r"y must be float32\[…, 4\], not float32\[3, 2\]"),
        ((3, 2), "bool", r"y must be bool\[3, 2\], not float32\[3, 2\]"),
    ],
    ids=["rank", "size", "type"],
)
def test_another_rank_size_or_type_is_refused_by_name(
    shape: tuple[int | None, ...], dtype: str, said: str
) -> None:
    fitting = np.zeros([size or 1 for size in shape], dtype)
    with pytest.raises(ValueError, match=said):
        require(shape, dtype, x=fitting, y=ZEROS)
