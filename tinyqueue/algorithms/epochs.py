"""Several epochs of minibatches on the same session batches, in one graph.

A minibatch takes ticks from anywhere in the update, as published. Where a recurrent state runs
through the ticks of a slot, it takes whole slots.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from tinyqueue.algorithms.base import Update
from tinyqueue.algorithms.descent import Descent, sound_update
from tinyqueue.data.spaces import Array
from tinyqueue.distributions import Tensor
from tinyqueue.errors import ConfigError
from tinyqueue.models.network import Network
from tinyqueue.monitor.metrics import Metric

P = TypeVar("P")
"""Nested tensors of an update, ``[T, B, …]``, or ``[1, B, …]`` where a slot has one of them."""


class Epochs(NamedTuple):
    """How often an update trains on its ticks.

    Attributes:
        epochs: Passes over all of them.
        minibatches: Optimiser steps per pass.
    """

    epochs: int
    minibatches: int

    @property
    def steps(self) -> int:
        """Optimiser steps of an update."""
        return self.epochs * self.minibatches

    def require_divides(self, ticks: int, slots: int, network: Network | None = None) -> int:
        """What the minibatches of an update share out among them: its ticks, or its slots.

        Args:
            ticks: T of its session batches.
            slots: B₁+B₂+… over them.
            network: What is trained; None while that is not known, which lets pass what only a
                network without recurrent state takes.

        Raises:
            ConfigError: The minibatches do not divide it.
        """
        takes_slots = network is not None and bool(network.state)
        count = slots if takes_slots else ticks * slots
        if count % self.minibatches:
            of = "session.slots × learner.batches_per_update"
            what = (
                f"{slots} slots of an update ({of}), and with a recurrent core a minibatch takes "
                "whole slots"
                if takes_slots
                else f"{count} env steps of an update (session.ticks × {of})"
            )
            raise ConfigError(
                f"algorithm.minibatches = {self.minibatches} does not divide the {what}. "
                "Choose a divisor."
            )
        return count

    def order(self, count: int, env_steps: int, seed: int) -> Array:
        """What each step takes, ``[epochs · minibatches, count / minibatches]`` int32.

        Every epoch takes everything once, in a new random order.

        Args:
            count: Of :meth:`require_divides`.
            env_steps: The clock, so that a restored run draws the same.
            seed: The run's.
        """
        rng = np.random.default_rng((seed, env_steps))
        orders = np.stack([rng.permutation(count) for _ in range(self.epochs)])
        return orders.reshape(self.steps, -1).astype(np.int32)


def separable(whole: P, network: Network) -> P:
    """The same with everything that may be in another minibatch side by side on the second axis.

    Single ticks, ``[1, T·B, …]``; whole slots if the network has a recurrent state.
    """
    import tensorflow as tf

    if network.state:
        return whole
    flat: P = tf.nest.map_structure(lambda x: tf.reshape(x, [1, -1, *x.shape[2:]]), whole)
    return flat


def take_steps(
    descent: Descent,
    whole: P,
    order: Tensor,
    rate: Tensor,
    loss_of: Callable[[P], tuple[Tensor, Sequence[Tensor]]],
    count: int,
) -> Tensor:
    """One optimiser step per minibatch, inside a graph.

    After a failed step, variables are as before the first one.

    Args:
        descent: Takes the steps.
        whole: What minibatches are taken from, by its second axis (:func:`separable`).
        order: ``[steps, b]`` int32, the places of each minibatch on it (:meth:`Epochs.order`).
        rate: The learning rate, a scalar.
        loss_of: The loss of a minibatch, and its metrics.
        count: Number of metrics.

    Returns:
        ``[2 + count + 1]``: means of loss, gradient norm and metrics over the steps, then the
        number of steps; after a failed step, its numbers instead of the means.
    """
    import tensorflow as tf

    # Costs nothing but memory: a step copies a variable whose value is still in use.
    before = descent.values()
    steps = order.shape[0]

    def step(index: Tensor, means: Tensor, _: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        part = tf.nest.map_structure(lambda x: tf.gather(x, order[index], axis=1), whole)
        with tf.GradientTape() as tape:
            loss, metrics = loss_of(part)
        norm = descent.step(tape, loss, rate)
        numbers = tf.stack([loss, norm, *metrics])
        is_sound = tf.math.is_finite(loss + norm)
        return index + 1, tf.where(is_sound, means + numbers / steps, numbers), is_sound

    taken, means, is_sound = tf.while_loop(
        lambda index, _, is_sound: is_sound & (index < steps),
        step,
        (tf.constant(0), tf.zeros(2 + count), tf.constant(True)),
        parallel_iterations=1,
    )
    descent.undo_unless(is_sound, before)
    return tf.concat([means, tf.cast(taken, tf.float32)[None]], axis=0)


def epochs_update(
    names: Sequence[Metric], numbers: Sequence[float], of: int, rate: float, env_steps: int
) -> Update:
    """The report of an update that took :func:`take_steps`.

    Args:
        names: Metrics, in the order of ``numbers``: the loss and the gradient norm first.
        numbers: What :func:`take_steps` returned: the metrics, then the number of steps.
        of: Steps that the update has.
        rate: The learning rate.
        env_steps: The clock of the update.

    Raises:
        LossNotFiniteError: A step failed.
    """
    *means, steps = numbers
    return sound_update(
        dict(zip(names, means, strict=True)),
        rate,
        f"step {steps:.0f} of {of} of the update at {env_steps:,} env steps",
    )
