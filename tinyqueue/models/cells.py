"""LSTM and GRU cells. Their product with the input is computed for all ticks before the loop.

LSTM: Hochreiter & Schmidhuber, 1997, with the forget gate's bias at 1 (Jozefowicz et al., 2015).
GRU: Cho et al., 2014, with the reset after the recurrent product, as in cuDNN.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Literal

from tinyqueue.data.seeds import seed32
from tinyqueue.distributions.arrays import Tensor
from tinyqueue.models.keras_import import Initializer, import_keras

CellName = Literal["lstm", "gru"]
_GATES = {"lstm": 4, "gru": 3}
_STATE = {"lstm": ("hidden", "cell"), "gru": ("hidden",)}


class Cell:
    """The variables and formulas of one cell. Its output is the state ``hidden``.

    Args:
        kind: Which cell.
        units: Units in each part of the state.
        seed: Seed of the initial weights.
    """

    def __init__(self, kind: CellName, units: int, seed: int) -> None:
        _, keras = import_keras()
        self._kind = kind
        self._units = units
        self.state: Mapping[str, tuple[int, ...]] = dict.fromkeys(_STATE[kind], (units,))
        bias = "zeros" if kind == "gru" else _forget_bias(keras, units)
        self.product = keras.layers.Dense(
            _GATES[kind] * units,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed32(seed, 0)),
            bias_initializer=bias,
            name="core_input",
        )
        self._recurrent = keras.layers.Dense(
            _GATES[kind] * units,
            use_bias=kind == "gru",
            kernel_initializer=keras.initializers.Orthogonal(seed=seed32(seed, 1)),
            name="core_recurrent",
        )

    def tick(self, product: Tensor, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The next state.

        Args:
            product: ``[N, gates · units]``, the layer :attr:`product` applied to the input.
            state: path → ``[N, units]``.
        """
        return self._next(product, self._recurrent(state["hidden"]), state)

    def unroll(
        self,
        products: Tensor,
        state: Mapping[str, Tensor],
        starts: Tensor,
        variables: Mapping[str, Tensor] | None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Outputs ``[T, B, units]`` and the last state: a loop of T ticks, unrolled in the graph.

        Args:
            products: ``[T, B, gates · units]``.
            state: path → ``[B, units]`` before the first row.
            starts: ``[T, B]`` bool: the state is reset to zero before this row.
            variables: Used instead of its own, by path; None: its own.
        """
        import tensorflow as tf

        kernel, *bias = [
            v.value if variables is None else variables[v.path] for v in self._recurrent.variables
        ]
        stays = tf.unstack(1.0 - tf.cast(starts, products.dtype)[..., None])
        state, hidden = dict(state), []
        for product, stay in zip(tf.unstack(products), stays, strict=True):
            state = {path: values * stay for path, values in state.items()}
            recurrent = tf.matmul(state["hidden"], kernel)
            state = self._next(product, recurrent + bias[0] if bias else recurrent, state)
            hidden.append(state["hidden"])
        return tf.stack(hidden), state

    def _next(
        self, product: Tensor, recurrent: Tensor, state: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        from keras import ops

        if self._kind == "lstm":
            enter, forget, candidate, out = ops.split(product + recurrent, 4, axis=-1)
            cell = ops.sigmoid(forget) * state["cell"]
            cell = cell + ops.sigmoid(enter) * ops.tanh(candidate)
            return {"hidden": ops.sigmoid(out) * ops.tanh(cell), "cell": cell}
        split = 2 * self._units
        gates = ops.sigmoid(product[:, :split] + recurrent[:, :split])
        update, reset = ops.split(gates, 2, axis=-1)
        candidate = ops.tanh(product[:, split:] + reset * recurrent[:, split:])
        return {"hidden": update * state["hidden"] + (1.0 - update) * candidate}


def _forget_bias(keras: ModuleType, units: int) -> Initializer:
    def bias(shape: tuple[int, ...], dtype: str | None = None) -> Tensor:
        parts = [
            keras.ops.zeros(units, dtype),
            keras.ops.ones(units, dtype),
            keras.ops.zeros(2 * units, dtype),
        ]
        return keras.ops.concatenate(parts)

    return bias
