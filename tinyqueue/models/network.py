"""What a model family builds: one network, called tick by tick to act, and over rows to train."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from tinyqueue.data.names import REWARD_INPUT, action_input
from tinyqueue.data.spaces import Space
from tinyqueue.distributions.arrays import Tensor
from tinyqueue.errors import ConfigError
from tinyqueue.models.cells import Cell
from tinyqueue.models.keras_import import KerasLayer, KerasModel

STATE = "state:"
"""Prefix of recurrent state among the inputs and outputs of a step: ``state:<path>``."""


@dataclass(frozen=True)
class Output:
    """One output of a network.

    Attributes:
        size: Numbers per row; ``value`` of size 1 is ``[N]``.
        dueling: ``Q = V + A − mean A`` of two streams (Wang et al., 2016, arXiv:1511.06581).
        state_independent: It is one variable that starts at 0, the same in every row.
    """

    size: int
    dueling: bool = False
    state_independent: bool = False


@dataclass(frozen=True)
class Recurrence:
    """The parts of a recurrent network, for loops over time.

    Attributes:
        torso: ``keras.Model`` from observations and the previous action and reward to what the
            cell adds to its recurrent product, ``[N, gates]``.
        cell: Steps the state (:mod:`tinyqueue.models.cells`).
        heads: ``keras.Model`` from ``[N, units]`` to the outputs.
    """

    torso: KerasModel
    cell: Cell
    heads: KerasModel


Another: TypeAlias = "Callable[[Space, Mapping[str, Output], int], Network]"
"""``(observations, outputs, number)`` → a further network of the same model. Numbers give them
different initial weights."""


def _no_other(observations: Space, outputs: Mapping[str, Output], number: int) -> Network:
    raise NotImplementedError(
        "networks made by tinyqueue.models.registry.build_network have others"
    )


class Network:
    """A network and its variables.

    Args:
        step: ``keras.Model`` of one tick: a dict of inputs by observation path, ``state:<path>``
            and, with previous actions, ``previous:action`` for the path ``""``,
            ``previous:action/<path>`` for any other, and ``previous:reward``; a dict of outputs
            by name and ``state:<path>``.
        observations: The observation space.
        recurrence: Its parts; None for a feed-forward network.
        statistics: Path of an observation → the layer of ``step`` that normalises it
            (:mod:`tinyqueue.models.observation_statistics`).

    Attributes:
        state: Recurrent state: path → shape for one slot. Empty without recurrence.
        uses_previous: Whether the previous action and reward are inputs.
        variables, trainable_variables: ``tf.Variable`` by path.
        seed: The run's seed, for what an algorithm draws with this network.
        another: Builds a further network of the same model, for algorithms that need several.
            It shares the statistics of observations.
        shared: Paths of the variables of those statistics. Target networks use them as they are.
    """

    def __init__(
        self,
        step: KerasModel,
        observations: Space,
        recurrence: Recurrence | None = None,
        statistics: Mapping[str, KerasLayer] | None = None,
    ) -> None:
        self.step = step
        self.observations = observations
        self.recurrence = recurrence
        self.statistics = dict(statistics or {})
        self.shared = frozenset(v.path for s in self.statistics.values() for v in s.variables)
        self.uses_previous = REWARD_INPUT in step.input
        self.state: Mapping[str, tuple[int, ...]] = {
            name.removeprefix(STATE): tuple(tensor.shape[1:])
            for name, tensor in step.input.items()
            if name.startswith(STATE)
        }
        self.variables = {v.path: v.value for v in step.variables}
        self.trainable_variables = {v.path: v.value for v in step.trainable_variables}
        self.seed = 0
        self.another: Another = _no_other

    def apply(
        self, observations: Mapping[str, Tensor], variables: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Outputs of independent rows, ``{name: [N, …]}``.

        Args:
            observations: path → ``[N, *obs]``.
            variables: Used instead of its own, by path: a target network is the same network with
                other variables. None: its own.

        Raises:
            ConfigError: The network has a recurrent state or uses the previous action.
        """
        if self.state or self.uses_previous:
            raise ConfigError(
                "this algorithm learns from single steps, and the model has a recurrent core or "
                "sees the previous action. Set model.core = 'none' and model.previous = false, or "
                "train with an algorithm that learns from sequences."
            )
        outputs: dict[str, Tensor] = _called(self.step, dict(observations), variables)
        return outputs

    def unroll(
        self,
        observations: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
        starts: Tensor,
        previous_actions: Mapping[str, Tensor] | None = None,
        previous_rewards: Tensor = None,
        variables: Mapping[str, Tensor] | None = None,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Outputs of rows in time order, and the state after the last row.

        Everything but the cell runs once, on all rows together.

        Args:
            observations: path → ``[T, B, *obs]``; T known when the graph is built.
            state: path → ``[B, *state]`` before the first row.
            starts: ``[T, B]`` bool: the state is reset to zero before this row.
            previous_actions: path → ``[T, B, *act]``, zeros before an episode's first row; ignored
                without ``uses_previous``.
            previous_rewards: ``[T, B]`` likewise.
            variables: Used instead of its own, by path; None: its own.

        Returns:
            ``{name: [T, B, …]}`` and path → ``[B, *state]``.
        """
        rows = dict(observations)
        if self.uses_previous:
            assert previous_actions is not None
            rows |= {action_input(path): x for path, x in previous_actions.items()}
            rows[REWARD_INPUT] = previous_rewards
        ticks = next(iter(rows.values())).shape[0]
        flat = {name: _flat(tensor) for name, tensor in rows.items()}
        if self.recurrence is None:
            outputs = _called(self.step, flat, variables)
            return {name: _in_time(tensor, ticks) for name, tensor in outputs.items()}, {}
        parts = self.recurrence
        products = _in_time(_called(parts.torso, flat, variables), ticks)
        hidden, after = parts.cell.unroll(products, dict(state), starts, variables)
        outputs = _called(parts.heads, _flat(hidden), variables)
        return {name: _in_time(tensor, ticks) for name, tensor in outputs.items()}, after


def _called(model: KerasModel, inputs: Tensor, variables: Mapping[str, Tensor] | None) -> Tensor:
    if variables is None:
        return model(inputs, training=True)
    outputs, _ = model.stateless_call(
        [variables[v.path] for v in model.trainable_variables],
        [variables[v.path] for v in model.non_trainable_variables],
        inputs,
        training=True,
    )
    return outputs


def _flat(tensor: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.reshape(tensor, [-1, *tensor.shape[2:]])


def _in_time(tensor: Tensor, ticks: int) -> Tensor:
    import tensorflow as tf

    return tf.reshape(tensor, [ticks, -1, *tensor.shape[1:]])
