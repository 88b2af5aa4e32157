"""The cross-entropy method (Szita & Lőrincz, 2006, doi:10.1162/neco.2006.18.12.2936), in NumPy.

    tinyqueue train CartPole-v1 --set algorithm.name=examples/cem.py:CrossEntropy

It draws candidates from a Gaussian over the parameters of a linear policy, plays them, and moves
the Gaussian to the best of them. How candidates are evaluated through the queue:

* A weight version holds a whole population, drawn from the Gaussian with the run's seed and the
  version. Slot i of every player plays candidate i, so a stage evaluates many at once, and a
  session batch names all of them by its ``policy_version``.
* An episode is longer than a version. At its first step the policy graph copies its candidate into
  the recurrent state, and plays it to the end, whatever versions arrive meanwhile. Session batches
  carry the state, so the learner reads there who played an episode that began in an earlier batch.

A return is therefore never credited to another candidate, even if batches come late, out of order
or not at all, and players come and go. Publishing one candidate after the other would need every
player to have switched, and would lose the episodes that are under way at every switch.

Candidate 0 is the mean: with one environment, as in ``tinyqueue record``, it alone plays. An
evaluation plays the population, and reaches a target only if all of the Gaussian does.

Deviations: a candidate plays one episode; a generation is complete after a number of episodes, and
those of earlier generations that end late count in it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tinyqueue.algorithms.bare import BareAlgorithm, Problem
from tinyqueue.algorithms.base import HeadConfig, Update
from tinyqueue.algorithms.ranges import Count, NotNegative, Positive, PositiveShare
from tinyqueue.data.joint_actions import JointActions
from tinyqueue.data.names import EPISODE_STEPS, carried_state
from tinyqueue.data.seeds import generator
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Arrays, Space
from tinyqueue.errors import CheckpointError
from tinyqueue.policy.graphs import policy_graph

CANDIDATE = "candidate"
"""The recurrent state: the parameters that play an episode, and a 1 that says that it has begun."""
REMEMBERED = 256
"""Versions whose population is remembered. Batches of older ones are dropped as stale anyway."""


@dataclass(frozen=True)
class CemConfig:
    """``CrossEntropy``, with settings for small tasks with vector observations."""

    population: Count = 32
    """Candidates per weight version. ``session.slots`` of them are played."""
    generation: Count = 48
    """Episodes per generation."""
    elite: PositiveShare = 0.2
    """Share of them that the Gaussian moves to. Szita & Lőrincz 0.1."""
    spread: Positive = 1.0
    """Standard deviation of every parameter at the start."""
    extra_spread: NotNegative = 0.1
    """Added to the variance, squared, so that it does not collapse; falls to 0 linearly …"""
    extra_generations: Count = 15
    """… over so many generations. Szita & Lőrincz: 50."""


class CrossEntropy(BareAlgorithm[CemConfig, Sequence[SessionBatch]]):
    """A Gaussian over the parameters of a linear policy, moved to the best of what was played."""

    Config = CemConfig
    head = "epsilon-greedy"  # The action with the largest score.

    def __init__(self, config: CemConfig, problem: Problem) -> None:
        self._config = config
        self._seed = problem.seed
        features = 1 + sum(leaf.size for leaf in problem.observations.values())
        actions = JointActions(problem.actions).n
        self._mean = np.zeros(features * actions)
        self._std = np.full(features * actions, config.spread)
        self._generation = 0
        self._played: list[tuple[Array, float]] = []
        self._populations: OrderedDict[int, Array] = OrderedDict()
        self.graph = linear_graph(problem.observations, actions, config.population)

    @property
    def head_config(self) -> HeadConfig:
        """Never a random action: candidates differ enough."""
        return {"schedule": "annealed", "start": 0.0, "end": 0.0, "steps": 1}

    def weights(self, version: int) -> Arrays:
        """The population of a version: ``[N, P+1]`` float32, the mean first."""
        if version not in self._populations:
            noise = generator(self._seed, version + 1).standard_normal(
                (self._config.population, self._mean.size)
            )
            noise[0] = 0.0
            drawn = self._mean + self._std * noise
            begun = np.ones((len(drawn), 1))
            self._populations[version] = np.hstack([drawn, begun]).astype(np.float32)
            while len(self._populations) > REMEMBERED:
                self._populations.popitem(last=False)
        return {"population": self._populations[version]}

    def update(self, experience: Sequence[SessionBatch], env_steps: int) -> Update:
        """Notes who came to which return; moves the Gaussian when a generation is complete."""
        for batch in experience:
            self._played += self._finished(batch)
        while len(self._played) >= self._config.generation:
            generation = self._played[: self._config.generation]
            del self._played[: self._config.generation]
            self._move(generation)
        return Update({"generation": float(self._generation), "spread": float(self._std.mean())})

    def _finished(self, batch: SessionBatch) -> Iterator[tuple[Array, float]]:
        """Candidate and return of every episode that ended in a batch and can be attributed."""
        population = self._populations.get(batch.header.policy_version)
        began_before = batch.carry[EPISODE_STEPS] > 0
        for slot, score in zip(
            batch.episodes.slots.tolist(), batch.episodes.returns.tolist(), strict=True
        ):
            if began_before[slot]:
                yield batch.carry[carried_state(CANDIDATE)][slot, :-1].copy(), score
            elif population is not None:
                yield population[slot % len(population), :-1], score
            # Only a slot's first episode of a batch can have begun before it.
            began_before[slot] = False

    def _move(self, played: list[tuple[Array, float]]) -> None:
        config = self._config
        scores = np.array([score for _, score in played])
        best = np.argsort(-scores, kind="stable")[: max(1, round(config.elite * len(played)))]
        elite = np.stack([played[index][0] for index in best]).astype(np.float64)
        extra = config.extra_spread * max(0.0, 1.0 - self._generation / config.extra_generations)
        self._mean = elite.mean(axis=0)
        self._std = np.sqrt(elite.var(axis=0) + extra**2)
        self._generation += 1

    def state(self) -> Arrays:
        """The Gaussian, and the episodes of the generation under way."""
        arrays: Arrays = {
            "mean": self._mean.copy(),
            "std": self._std.copy(),
            "generation": np.asarray(self._generation),
        }
        if self._played:  # A checkpoint has no empty arrays.
            candidates, scores = zip(*self._played, strict=True)
            arrays |= {"played": np.stack(candidates), "returns": np.array(scores, np.float32)}
        return arrays

    def restore(self, state: Arrays) -> None:
        """Restores :meth:`state`. Who played in versions of before is known by the carry alone."""
        if state["mean"].shape != self._mean.shape:
            raise CheckpointError(
                f"the checkpoint has {state['mean'].size} parameters, and the policy of this "
                f"environment has {self._mean.size}. Start a new run."
            )
        self._mean, self._std = state["mean"].copy(), state["std"].copy()
        self._generation = int(state["generation"])
        self._played = []
        if "played" in state:
            self._played = list(zip(state["played"], state["returns"].tolist(), strict=True))
        self._populations.clear()


def linear_graph(observations: Space, actions: int, population: int) -> bytes:
    """Scores of ``actions`` actions, linear in the observation, by each row's own candidate.

    Args:
        observations: What the policy sees; flattened, in the order of its paths.
        actions: Number of actions.
        population: N.
    """
    features = 1 + sum(leaf.size for leaf in observations.values())
    size = features * actions
    nodes, inputs, flat = [], [], []
    for index, (path, leaf) in enumerate(observations.items()):
        name = f"observation:{path}"
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(leaf.dtype))
        inputs.append(helper.make_tensor_value_info(name, kind, ["B", *leaf.shape]))
        nodes += [
            helper.make_node("Cast", [name], [f"numbers{index}"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", [f"numbers{index}"], [f"flat{index}"], axis=1),
        ]
        flat.append(f"flat{index}")
    state = f"state:{CANDIDATE}"
    inputs.append(helper.make_tensor_value_info(state, TensorProto.FLOAT, ["B", size + 1]))

    def node(kind: str, given: list[str], result: str, **attributes: Any) -> None:
        nodes.append(helper.make_node(kind, given, [result], **attributes))

    # Slot i draws candidate i mod N, unless its episode has begun.
    node("Shape", [state], "rows", start=0, end=1)
    node("Squeeze", ["rows"], "count")
    node("Range", ["zero", "count", "one"], "slots")
    node("Mod", ["slots", "N"], "drawn")
    node("Gather", ["population", "drawn"], "new")
    node("Slice", [state, "last", "end", "axis"], "flag")
    node("Greater", ["flag", "half"], "has_begun")
    node("Where", ["has_begun", state, "new"], f"next_state:{CANDIDATE}")
    # Scores = [x, 1]·W, a different W in every row.
    node("Slice", [f"next_state:{CANDIDATE}", "first", "last", "axis"], "parameters")
    node("Reshape", ["parameters", "matrices"], "W")
    node("Slice", [f"next_state:{CANDIDATE}", "last", "end", "axis"], "ones")
    node("Concat", [*flat, "ones"], "x", axis=1)
    node("Unsqueeze", ["x", "axis"], "row")
    node("MatMul", ["row", "W"], "scores")
    node("Squeeze", ["scores", "axis"], "output:q")
    constants = {
        "zero": np.int64(0),
        "one": np.int64(1),
        "N": np.int64(population),
        "first": np.array([0]),
        "last": np.array([-1]),
        "end": np.array([np.iinfo(np.int64).max]),
        "axis": np.array([1]),
        "half": np.float32(0.5),
        "matrices": np.array([-1, features, actions]),
        "population": np.zeros((population, size + 1), np.float32),
    }
    outputs = [
        helper.make_tensor_value_info("output:q", TensorProto.FLOAT, ["B", actions]),
        helper.make_tensor_value_info(
            f"next_state:{CANDIDATE}", TensorProto.FLOAT, ["B", size + 1]
        ),
    ]
    values = [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "policy", inputs, outputs, values),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=8,
    )
    return policy_graph(model, ["population"])
