"""Session batches and samples as nested dicts of arrays, which Keras and tf.data take."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Arrays
from tinyqueue.replay.samples import SequenceSample, TransitionSample

_OF_STORAGE = ("rows", "births")


def of_session(batch: SessionBatch) -> dict[str, Any]:
    """The arrays of :class:`~tinyqueue.data.session.SessionBatch` by attribute.

    Observations and actions of a plain space are the array itself, those of a Dict or Tuple a dict
    by path; ``extras`` and ``carry`` are dicts by name, and left out if empty.
    """
    found: dict[str, Any] = {
        "observations": _leaf_or_dict(batch.observations),
        "actions": _leaf_or_dict(batch.actions),
        "rewards": batch.rewards,
        "terminated": batch.terminated,
        "truncated": batch.truncated,
        "valid": batch.valid,
    }
    for name in ("extras", "carry"):
        if arrays := getattr(batch, name):
            found[name] = dict(arrays)
    return found


def of_sample(sample: TransitionSample | SequenceSample) -> dict[str, Any]:
    """The arrays of a sample by attribute, observations as in :func:`of_session`.

    Where they are stored, and what the environment does not have, is left out.
    """
    found: dict[str, Any] = {}
    for entry in fields(sample):
        values = getattr(sample, entry.name)
        if entry.name in _OF_STORAGE or values is None or (isinstance(values, dict) and not values):
            continue
        is_space = entry.name in ("observations", "next_observations")
        found[entry.name] = _leaf_or_dict(values) if is_space else values
    return found


def _leaf_or_dict(arrays: Arrays) -> Any:
    return arrays[""] if list(arrays) == [""] else dict(arrays)
