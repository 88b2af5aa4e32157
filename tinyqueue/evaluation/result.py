"""Games as the answer to a request."""

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
    """What is answered.

    Args:
        games: What was played.
        request: Id of the request.
        experiment: Its name.
        weights: Which played.
        player: Who played, for people.
        actions: How they were chosen, ``greedy`` or ``sample``.
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
