"""The base of algorithms that bring their own network, in whatever framework.

Such an algorithm says what players need in the only language that they know: an ONNX graph, made
once, and its weights as NumPy arrays, one set for every version. tinyqueue builds no network for
it and does not import TensorFlow.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TypeVar

from tinyqueue.algorithms.base import AnyAlgorithm
from tinyqueue.data.spaces import Arrays, Space

C = TypeVar("C")
"""An algorithm's config."""
E = TypeVar("E")
"""Its experience: a sequence of session batches, or a sample from the replay."""


@dataclass(frozen=True)
class Problem:
    """What an algorithm is built for.

    Attributes:
        observations: What its policy sees: path → leaf of one slot, stacked if
            ``environment.stack`` is set. Session batches have single frames.
        actions: What players may do: path → leaf of one slot.
        mask_size: Size of the action mask in every row of experience; 0 if the environment has
            none.
        seed: The run's seed, for initial weights and every later draw
            (:func:`tinyqueue.data.seeds.generator`).
        threads: ``learner.threads``: how many threads training may use. Players need the others.
    """

    observations: Space
    actions: Space
    mask_size: int = 0
    seed: int = 0
    threads: int = 1


class BareAlgorithm(AnyAlgorithm[C, E]):
    """An algorithm with a network of its own.

    A subclass sets ``Config``, ``head`` and, in ``__init__``, ``graph``; and it writes
    :meth:`update`, :meth:`weights`, :meth:`state` and :meth:`restore`.

    Args:
        config: An instance of ``Config``.
        problem: Spaces, seed and threads. Raise ConfigError for spaces that are not supported.

    Attributes:
        graph: The policy as an ONNX model without its weights, which :func:`policy_graph
            <tinyqueue.policy.graphs.policy_graph>` makes of one with weights. Inputs are
            ``observation:<path>`` ``[B, *obs]`` and ``weight:<name>``; outputs are those that the
            head reads, such as ``output:logits`` ``[B, n]``. B must be left open. A recurrent
            policy also has ``state:<path>`` and ``next_state:<path>``, float32. All names are in
            :mod:`tinyqueue.policy.runner`.
    """

    graph: bytes

    @abstractmethod
    def __init__(self, config: C, problem: Problem) -> None: ...

    @abstractmethod
    def weights(self, version: int) -> Arrays:
        """The weights of the graph, by the name that follows ``weight:``.

        Names, types and shapes are the same every time.

        Args:
            version: The number that they are published under, which the headers of session batches
                name as ``policy_version``; −1 before the first publish. The same number may be
                asked for again, by a checkpoint.
        """
