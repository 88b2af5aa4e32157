"""Greedy games in this process, for a learner without evaluating workers and for ``--serial``."""

from __future__ import annotations

from collections.abc import Sequence

from tinyqueue.evaluation.games import play_games
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.policy.heads import greedy_head
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.wire.evaluations import EvaluationResult
from tinyqueue.wire.weights import WeightVersion


def play_here(
    experiment: Experiment,
    spec: PlaySpec,
    modules: Sequence[str],
    weights: WeightVersion,
    graph: bytes,
    request: str,
    seed: int,
) -> EvaluationResult:
    """Plays an experiment's evaluation games.

    Raises:
        TinyqueueError: The environment cannot be built here.
    """
    evaluation = experiment.evaluation
    games = play_games(
        spec.environment,
        PolicyRunner(graph, weights.arrays, weights.version, weights.env_steps),
        greedy_head(spec.head, spec.actions),
        episodes=evaluation.episodes,
        slots=evaluation.slots,
        seed=seed,
        modules=modules,
        spaces=(spec.observations, spec.actions),
    )
    return EvaluationResult(
        request=request,
        experiment=experiment.name,
        run=weights.run,
        policy_version=weights.version,
        returns=games.returns,
        lengths=games.lengths,
        seconds=games.seconds,
        player="learner",
    )


class GamesHere:
    """Plays every request at once, in the caller's thread: the serial loop's evaluator."""

    def __init__(
        self, experiment: Experiment, spec: PlaySpec, modules: Sequence[str], graph: bytes
    ) -> None:
        self._experiment = experiment
        self._spec = spec
        self._modules = modules
        self._graph = graph
        self._result: EvaluationResult | None = None

    def request(self, weights: WeightVersion, request: str, seed: int) -> None:
        self._result = play_here(
            self._experiment, self._spec, self._modules, weights, self._graph, request, seed
        )

    def poll(self) -> EvaluationResult | None:
        result, self._result = self._result, None
        return result
