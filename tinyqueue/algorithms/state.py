"""Converts variables to arrays and back, for checkpoints."""

from __future__ import annotations

from collections.abc import Mapping

from tinyqueue.data.spaces import Arrays
from tinyqueue.errors import CheckpointError
from tinyqueue.models.network import Network
from tinyqueue.models.tensors import Variable


def values(variables: Mapping[str, Variable]) -> Arrays:
    """Copies of the current values, by name."""
    return {name: variable.numpy() for name, variable in variables.items()}


def restore_variables(variables: Mapping[str, Variable], state: Arrays) -> None:
    """Assigns all variables, or none if an array does not fit.

    Args:
        variables: The variables, by name.
        state: An array of the same shape and type for each.

    Raises:
        CheckpointError: A name, shape or type differs.
    """
    missing = sorted(set(variables) - set(state))
    extra = sorted(set(state) - set(variables))
    differ = [
        f"{name}: {state[name].dtype}{list(state[name].shape)} saved, "
        f"{variable.dtype.name}{list(variable.shape)} wanted"
        for name, variable in variables.items()
        if name in state
        and (state[name].shape != tuple(variable.shape) or state[name].dtype != variable.dtype.name)
    ]
    if missing or extra or differ:
        raise CheckpointError(
            "the saved state belongs to another model or optimiser: "
            f"missing {missing}, unknown {extra}, different {differ}. "
            "Continue with the experiment that saved it, or start a new run."
        )
    for name, variable in variables.items():
        variable.assign(state[name])


def target_of(network: Network) -> dict[str, Variable]:
    """Variables of a target network by path, with the present values of the network's own.

    Statistics of observations are not copied: both networks see the same normalised observations,
    as if they had been normalised before. With a target's own, the values of a network would be
    followed late by what they mean.
    """
    import tensorflow as tf

    return {
        path: v if path in network.shared else tf.Variable(v, trainable=False, name="target")
        for path, v in network.variables.items()
    }
