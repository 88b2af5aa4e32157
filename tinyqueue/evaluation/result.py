"""Turns games into the answer to a request."""

from __future__ import annotations

from tinyqueue.evaluation.score import Games
from tinyqueue.wire.evaluations import EvaluationResult
from tinyqueue.wire.weights import WeightVersion


def result_of(
    games: Games,
    *,
    request: str,
    experiment: str,
    weights: WeightVersion,
    player: str,
    actions: str,
) -> EvaluationResult:
    """The answer to a request.

    Args:
        games: What was played.
        request: Id of the request.
        experiment: Name of the experiment.
        weights: The evaluated weights.
        player: Name of the worker, for the user.
        actions: How actions were chosen: ``greedy`` or ``sample``.
    """
    return EvaluationResult(
        request=request,
        experiment=experiment,
        run=weights.run,
        policy_version=weights.version,
        returns=games.returns,
        lengths=games.lengths,
        seconds=games.seconds,
        player=player,
        actions=actions,
        asked=games.asked,
        capped=games.capped,
        max_steps=games.max_steps,
        cut=games.cut,
        failures=games.failures,
        failure=games.failure,
    )
