"""What algorithms on the stream share: one network, and session batches side by side as tensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinyqueue.algorithms.observed import Observed
from tinyqueue.algorithms.optimisers import descend, make_optimiser
from tinyqueue.algorithms.state import restore_variables, values
from tinyqueue.algorithms.steps import schedule
from tinyqueue.algorithms.stream_config import StreamConfig
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Arrays, Space
from tinyqueue.models.network import Network, Output
from tinyqueue.policy.heads import LOG_PROB, single_discrete


class StreamActorCritic(ABC):
    """A network with outputs ``logits`` and ``value``, trained on every batch in one update.

    A subclass says what an update is: :meth:`_settings` makes the numbers that change from update
    to update, and :meth:`_learn` is the graph.

    Args:
        config: Of the algorithm.
        network: With the outputs ``logits`` and ``value``.
        actions: One discrete leaf.
    """

    replay = None
    head = "categorical"
    head_config: Mapping[str, Any] = {}
    acting_outputs = ("logits",)

    def __init__(self, config: StreamConfig, network: Network, actions: Space) -> None:
        self._network = network
        self._observed = Observed(network.observations)
        self._max_grad_norm = config.max_grad_norm
        ((self._action_path, leaf),) = actions.items()
        self._action_dtype = leaf.dtype
        self._previous_action = "/".join(["previous_action", *filter(None, actions)])
        self._carried: dict[str, tuple[tuple[int, ...], str]] = {
            f"state/{path}": (shape, "float32") for path, shape in network.state.items()
        }
        """Arrays of a batch's carry that the network needs → shape of one slot's, and type."""
        if network.uses_previous:
            self._carried |= {
                self._previous_action: (leaf.shape, leaf.dtype),
                "previous_reward": ((), "float32"),
            }
        self._variables = list(network.trainable_variables.values())
        self._optimiser = make_optimiser(
            config.optimiser, dict(network.trainable_variables), config.epsilon
        )
        self._learning_rate = schedule(
            config.learning_rate, config.learning_rate_end, config.anneal_steps
        )
        self._kept = {
            **{f"model/{path}": v for path, v in network.variables.items()},
            **{f"optimiser/{name}": v for name, v in self._optimiser.slots().items()},
        }
        self._graphs: dict[tuple[tuple[int, ...], ...], Any] = {}

    @staticmethod
    def outputs(actions: Space, config: StreamConfig) -> dict[str, Output]:
        """Network outputs.

        Raises:
            ConfigError: The action space is not one discrete leaf.
        """
        return {"logits": Output(single_discrete(actions).n), "value": Output(1)}

    def prepare(self, ticks: int, slots: int) -> None:
        kinds = (self._action_dtype, np.float32, np.float32, bool, bool)
        nothing_valid = [np.zeros((ticks, slots), kind) for kind in kinds]
        observations = self._observed.nothing(ticks, slots)
        carried = [np.zeros((1, slots, *shape), kind) for shape, kind in self._carried.values()]
        before = self.state()
        self._run(self._settings(slots, 0), [*nothing_valid, *observations, *carried])
        self.restore(before)

    def state(self) -> Arrays:
        return values(self._kept)

    def restore(self, state: Arrays) -> None:
        restore_variables(self._kept, state)

    @abstractmethod
    def _settings(self, slots: int, env_steps: int) -> list[Array]:
        """What an update is given besides experience, the learning rate first.

        Args:
            slots: B₁+B₂+…, of all batches.
            env_steps: The clock.
        """

    @abstractmethod
    def _learn(self, settings: Sequence[Any], given: Sequence[Any]) -> Any:
        """The update, inside a graph: its numbers in one float32 vector.

        Args:
            settings: :meth:`_settings` as tensors.
            given: :meth:`_arrays` as tensors.
        """

    def _arrays(self, batches: Sequence[SessionBatch]) -> list[Array]:
        """Batches side by side: actions, log μ, rewards, terminated and valid, ``[T, B₁+B₂+…]``;
        those of :class:`Observed`; what is carried, ``[1, B₁+B₂+…, …]``.
        """
        columns = [
            [
                batch.actions[self._action_path],
                batch.extras[LOG_PROB],
                batch.rewards,
                batch.terminated,
                batch.valid,
                *self._observed.arrays(batch),
                *(batch.carry[name][None] for name in self._carried),
            ]
            for batch in batches
        ]
        if len(columns) == 1:
            return columns[0]
        return [np.concatenate(parts, axis=1) for parts in zip(*columns, strict=True)]

    def _run(self, settings: list[Array], arrays: list[Array]) -> list[float]:
        """Updates, and returns the numbers that :meth:`_learn` makes."""
        import tensorflow as tf

        given = [*settings, *arrays]
        key = tuple(array.shape for array in given)
        if key not in self._graphs:
            self._graphs[key] = self._traced(given, len(settings))
        tensors = [tf.convert_to_tensor(array) for array in given]
        numbers: list[float] = self._graphs[key](*tensors).numpy().tolist()
        return numbers

    def _traced(self, arrays: list[Array], settings: int) -> Any:
        """The update as a graph for these shapes; one per number of batches."""
        import tensorflow as tf

        def update(*tensors: Any) -> Any:
            return self._learn(tensors[:settings], tensors[settings:])

        signature = [tf.TensorSpec(array.shape, array.dtype) for array in arrays]
        # Called as a concrete function, which saves the lookup among traces at every update.
        function = tf.function(update, input_signature=signature, autograph=False)
        return function.get_concrete_function()

    def _descend(self, tape: Any, loss: Any, rate: Any) -> Any:
        """As :func:`descend`, along the gradient of the tape's loss."""
        gradients = tape.gradient(loss, self._variables)
        return descend(self._optimiser, gradients, loss, rate, self._max_grad_norm)

    def _seen(self, seen: Sequence[Any], actions: Any, rewards: Any, valid: Any) -> tuple[Any, Any]:
        """Logits ``[T+1, B, n]`` and values ``[T+1, B]`` of observations and what is carried.

        An invalid tick leads to the first row of an episode, before which there was nothing.
        The last row is there to bootstrap from: no gradient goes through it, which saves 4 % of an
        update of the Nature network at T = 20.
        """
        import tensorflow as tf

        count = self._observed.count
        observations = self._observed.tensors(seen[:count])
        carried = dict(zip(self._carried, seen[count:], strict=True))
        starts = tf.concat([tf.zeros_like(valid[:1]), ~valid], axis=0)
        previous = [
            tf.concat([carried[name], tf.where(valid, values, tf.zeros_like(values))], axis=0)
            for name, values in ((self._previous_action, actions), ("previous_reward", rewards))
            if name in carried
        ]

        def unroll(part: slice, state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
            rows = {path: x[part] for path, x in observations.items()}
            before = [x[part] for x in previous]
            if before:
                before[0] = {self._action_path: before[0]}
            return self._network.unroll(rows, state, starts[part], *before)

        before = {path: carried[f"state/{path}"][0] for path in self._network.state}
        outputs, after = unroll(slice(-1), before)
        last, _ = unroll(slice(-1, None), after)
        logits, values = (
            tf.concat([outputs[name], tf.stop_gradient(last[name])], axis=0)
            for name in ("logits", "value")
        )
        return logits, values
