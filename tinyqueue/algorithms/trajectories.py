"""Turns session batches into inputs of a graph, and these into what a network sees.

A network sees rows, or stacks that the graph gathers from frames.

Each frame enters the graph once. Gathering 640 stacks of four 84 × 84 frames there takes 2 ms;
building them in NumPy and passing them in would copy four times the bytes, twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from tinyqueue.data.masks import ACTION_MASK
from tinyqueue.data.names import PREVIOUS_REWARD, carried_action, carried_state
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Space
from tinyqueue.data.stacks import stack_rows, with_frames_before
from tinyqueue.distributions import Tensor
from tinyqueue.models.network import Network
from tinyqueue.policy.heads import LOG_PROB

X = TypeVar("X")

EARNED = "earned"
"""Among the extras of a batch whose rewards are normalised: ``[T, B]`` float32 those that the
environment gave. They are what a network sees as the previous reward, as it did when it played."""


class Trajectories(NamedTuple, Generic[X]):
    """Session batches side by side, B = B₁+B₂+…: arrays, or tensors inside a graph.

    Attributes:
        actions: path → ``[T, B, *act]``.
        log_mu: ``[T, B]`` log μ(a|x) as the player recorded it; zeros from a head without one.
        rewards: ``[T, B]`` to learn from: as the environment gave them, or normalised.
        terminated, valid: ``[T, B]`` bool.
        seen: From :class:`Observed`, ``[…, B, …]``.
        carried: What the network needs from before the batch, by name: ``[1, B, …]``.
        masks: ``[T+1, B, n]`` bool, which actions were valid; an empty tuple without masks.
        earned: ``[T, B]`` rewards as the environment gave them; an empty tuple if the network does
            not see the previous one.
    """

    actions: dict[str, X]
    log_mu: X
    rewards: X
    terminated: X
    valid: X
    seen: tuple[X, ...]
    carried: dict[str, X]
    masks: tuple[()] | tuple[X] = ()
    earned: tuple[()] | tuple[X] = ()


class NetworkInputs(NamedTuple):
    """Arguments of ``Network.unroll`` for T+1 rows.

    Attributes:
        observations: path → ``[T+1, B, *obs]``.
        state: path → ``[B, *state]`` before the first row.
        starts: ``[T+1, B]`` bool: the row begins an episode within the batch.
        previous: Before each row, actions by path, ``[T+1, B, *act]``, and rewards, ``[T+1, B]``;
            empty if the network does not use them.
    """

    observations: dict[str, Tensor]
    state: dict[str, Tensor]
    starts: Tensor
    previous: tuple[()] | tuple[dict[str, Tensor], Tensor]


class Rows(NamedTuple, Generic[X]):
    """What a loss takes of trajectories: all but the last row, which only serves to bootstrap.

    Attributes:
        inputs: What the network sees, ``[T, B, …]``; its state ``[1, B, *state]``.
        actions: path → ``[T, B, *act]``.
        log_mu: ``[T, B]`` log μ(a|x).
        valid: ``[T, B]`` bool.
        masks: ``[T, B, n]`` bool, which actions were valid; an empty tuple without masks.
    """

    inputs: NetworkInputs
    actions: dict[str, X]
    log_mu: X
    valid: X
    masks: tuple[()] | tuple[X] = ()

    def outputs(self, network: Network) -> dict[str, Tensor]:
        """The network's outputs for these rows, ``[T, B, …]`` by name."""
        seen, state, starts, previous = self.inputs
        before = {path: x[0] for path, x in state.items()}
        outputs, _ = network.unroll(seen, before, starts, *previous)
        return outputs


class TrajectoryLayout:
    """The arrays of a session batch that a network is trained on.

    Args:
        network: The network to train.
        actions: The action space.
        mask_size: n of the batches' action masks; 0 if they have none.
        has_log_mu: Whether the head records the log-probability of its choice.
    """

    def __init__(
        self, network: Network, actions: Space, mask_size: int = 0, *, has_log_mu: bool = True
    ) -> None:
        self._state = list(network.state)
        self._actions = actions
        self._mask_size = mask_size
        self._has_log_mu = has_log_mu
        self._observed = Observed(network.observations)
        self._carried: dict[str, tuple[tuple[int, ...], str]] = {
            carried_state(path): (shape, "float32") for path, shape in network.state.items()
        }
        """Array of the carry → shape for one slot, and dtype."""
        self._previous: dict[str, str] = {}
        """Array of the carry → path of the action in it."""
        if network.uses_previous:
            for path, leaf in actions.items():
                name = carried_action(path)
                self._previous[name] = path
                self._carried[name] = (leaf.shape, leaf.dtype)
            self._carried[PREVIOUS_REWARD] = ((), "float32")

    def arrays(self, batches: Sequence[SessionBatch]) -> Trajectories[Array]:
        """Joins batches of the same T along B."""
        import tensorflow as tf

        parts = [
            Trajectories(
                {path: batch.actions[path] for path in self._actions},
                batch.extras[LOG_PROB] if self._has_log_mu else np.zeros_like(batch.rewards),
                batch.rewards,
                batch.terminated,
                batch.valid,
                tuple(self._observed.arrays(batch)),
                {name: batch.carry[name][None] for name in self._carried},
                (batch.extras[ACTION_MASK],) if self._mask_size else (),
                (batch.extras.get(EARNED, batch.rewards),) if self._previous else (),
            )
            for batch in batches
        ]
        if len(parts) == 1:
            return parts[0]
        joined: Trajectories[Array] = tf.nest.map_structure(
            lambda *arrays: np.concatenate(arrays, axis=1), *parts
        )
        return joined

    def nothing(self, ticks: int, slots: int) -> Trajectories[Array]:
        """T ticks of B slots, none of them valid."""
        shape = (ticks, slots)
        return Trajectories(
            {path: np.zeros((*shape, *x.shape), x.dtype) for path, x in self._actions.items()},
            np.zeros(shape, np.float32),
            np.zeros(shape, np.float32),
            np.zeros(shape, bool),
            np.zeros(shape, bool),
            tuple(self._observed.nothing(ticks, slots)),
            {name: np.zeros((1, slots, *x), kind) for name, (x, kind) in self._carried.items()},
            (np.ones((ticks + 1, slots, self._mask_size), bool),) if self._mask_size else (),
            (np.zeros(shape, np.float32),) if self._previous else (),
        )

    def inputs(self, batch: Trajectories[Tensor]) -> NetworkInputs:
        """What the network sees, inside a graph.

        The row after an invalid tick is the first of an episode: its state and its previous action
        and reward are zeros.
        """
        import tensorflow as tf

        def before(name: str, rows: Tensor) -> Tensor:
            is_valid = tf.reshape(batch.valid, [*batch.valid.shape, *[1] * (len(rows.shape) - 2)])
            rows = tf.where(is_valid, rows, tf.zeros_like(rows))
            return tf.concat([batch.carried[name], rows], axis=0)

        previous: tuple[()] | tuple[dict[str, Tensor], Tensor] = ()
        if batch.earned:
            actions = {path: before(n, batch.actions[path]) for n, path in self._previous.items()}
            previous = (actions, before(PREVIOUS_REWARD, batch.earned[0]))
        return NetworkInputs(
            self._observed.tensors(batch.seen),
            {path: batch.carried[carried_state(path)][0] for path in self._state},
            tf.concat([tf.zeros_like(batch.valid[:1]), ~batch.valid], axis=0),
            previous,
        )

    def rows(self, batch: Trajectories[Tensor]) -> Rows[Tensor]:
        """What a loss takes, inside a graph."""
        import tensorflow as tf

        given = self.inputs(batch)
        seen, starts, previous, masks = tf.nest.map_structure(
            lambda x: x[:-1], (given.observations, given.starts, given.previous, batch.masks)
        )
        state = {path: x[None] for path, x in given.state.items()}
        inputs = NetworkInputs(seen, state, starts, previous)
        return Rows(inputs, batch.actions, batch.log_mu, batch.valid, masks)


class Observed:
    """Observations on their way into a graph: arrays of a batch, then tensors for the network.

    Args:
        observations: The network's observation space, with its stack.

    Attributes:
        count: Number of arrays per batch.
    """

    def __init__(self, observations: Space) -> None:
        self._space = observations
        self._stack = max(leaf.stack for leaf in observations.values())
        self.count = len(observations) + (self._stack > 1)

    def arrays(self, batch: SessionBatch) -> list[Array]:
        """``[T+1, B, *obs]`` for each path.

        With a stack of k frames: ``[k−1+T+1, B, *frame]`` for each path, then ``[T+1, B, k]``
        int32, the rows of each stack. Arrays of several batches may be joined along B.
        """
        if self._stack == 1:
            return [batch.observations[path] for path in self._space]
        frames = [with_frames_before(batch, path) for path in self._space]
        return [*frames, stack_rows(batch, self._stack).astype(np.int32)]

    def nothing(self, ticks: int, slots: int) -> list[Array]:
        """Zeros of the shapes that :meth:`arrays` gives for T ticks of B slots."""
        stack = self._stack
        rows = [
            np.zeros((stack + ticks, slots, *leaf.frame.shape), leaf.dtype)
            for leaf in self._space.values()
        ]
        if stack > 1:
            rows.append(np.zeros((ticks + 1, slots, stack), np.int32))
        return rows

    def tensors(self, given: Sequence[Tensor]) -> dict[str, Tensor]:
        """Path → ``[T+1, B, *obs]`` in the network's observation space, inside a graph.

        Args:
            given: The arrays of :meth:`arrays`, as tensors.
        """
        import tensorflow as tf

        if self._stack == 1:
            return dict(zip(self._space, given, strict=True))
        *frames, rows = given
        slots = tf.shape(rows)[1]
        # Indices into [rows · B].
        places = rows * slots + tf.range(slots)[None, :, None]
        return {
            path: tf.gather(tf.reshape(each, [-1, *each.shape[2:]]), places)
            for path, each in zip(self._space, frames, strict=True)
        }
