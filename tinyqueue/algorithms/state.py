"""Variables to and from arrays, for checkpoints."""

from __future__ import annotations

from collections.abc import Mapping

from tinyqueue.data.spaces import Arrays
from tinyqueue.errors import CheckpointError
from tinyqueue.models.tensors import Variable


def values(variables: Mapping[str, Variable]) -> Arrays:
    """Copies of the present values, by name."""
    return {name: variable.numpy() for name, variable in variables.items()}


def restore_variables(variables: Mapping[str, Variable], state: Arrays) -> None:
    """Assigns every variable, or none.

    Raises:
        CheckpointError: A name, a shape or a type differs.
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
            "the saved state is not of this model and optimiser: "
            f"missing {missing}, unknown {extra}, different {differ}. "
            "Train on with the experiment it was saved by, or start a new run."
        )
    for name, variable in variables.items():
        variable.assign(state[name])
