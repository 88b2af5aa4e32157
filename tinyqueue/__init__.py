"""Deep reinforcement learning on whatever machines you have.

``tinyqueue.load(RUN).act(observation)`` plays what a run has learned, without TensorFlow;
``tinyqueue.train(...)`` trains, as ``tinyqueue train`` does. Both are imported only when first
used, so that a starting worker need not wait for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tinyqueue.working_folder  # noqa: F401  # first: later imports may have namesakes

if TYPE_CHECKING:
    from tinyqueue.api import train
    from tinyqueue.learned import Learned, load

__all__ = ["Learned", "load", "train"]

_HOME = {
    "Learned": "tinyqueue.learned",
    "load": "tinyqueue.learned",
    "train": "tinyqueue.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tinyqueue' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
