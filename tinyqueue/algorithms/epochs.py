"""Several epochs of minibatches on the same session batches, in one graph.

A minibatch takes whole slots, not single ticks: a recurrent state runs through them, and the end of
an episode stays next to its final observation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from tinyqueue.algorithms.base import Update
from tinyqueue.algorithms.descent import Descent, sound_update
from tinyqueue.data.spaces import Array
from tinyqueue.distributions import Tensor
from tinyqueue.errors import ConfigError
from tinyqueue.monitor.metrics import Metric

P = TypeVar("P")
"""Nested tensors with the slots of an update on their second axis."""


def require_whole_slots(minibatches: int, slots: int) -> None:
    """Returns when so many minibatches divide the slots of an update.

    Raises:
        ConfigError: They do not.
    """
    if slots % minibatches:
        raise ConfigError(
            f"algorithm.minibatches = {minibatches} does not divide the {slots} slots "
            "of an update (session.slots × learner.batches_per_update), and a minibatch takes "
            "whole slots. Choose a divisor."
        )


def minibatches_of(slots: int, epochs: int, minibatches: int, env_steps: int) -> Array:
    """The slots of each step, ``[epochs · minibatches, slots / minibatches]`` int32.

    Every epoch takes all slots, in a new random order.

    Args:
        slots: A multiple of ``minibatches``.
        epochs: Passes over all slots.
        minibatches: Steps per epoch.
        env_steps: Seed of the orders, so that a restored run draws the same.
    """
    rng = np.random.default_rng(env_steps)
    orders = np.stack([rng.permutation(slots) for _ in range(epochs)])
    return orders.reshape(epochs * minibatches, -1).astype(np.int32)


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
        whole: What minibatches are taken from, ``[…, B, …]``.
        order: ``[steps, b]`` int32, the slots of each minibatch.
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
