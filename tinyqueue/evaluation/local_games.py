"""Evaluations in this process, for a learner without evaluating workers and for ``--serial``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from tinyqueue.errors import TinyqueueError
from tinyqueue.evaluation.answers import Answer, NoAnswer
from tinyqueue.evaluation.games import Limits, play_games
from tinyqueue.evaluation.result import result_of
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.experiment.sections import EvaluationConfig
from tinyqueue.policy.heads import evaluation_head
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.wire.evaluations import EvaluationResult
from tinyqueue.wire.weights import WeightVersion


def play_here(
    evaluation: EvaluationConfig,
    spec: PlaySpec,
    modules: Sequence[str],
    weights: WeightVersion,
    graph: bytes,
    request: str,
    seed: int,
    actions: str = "greedy",
    is_wanted: Callable[[], bool] = lambda: True,
) -> EvaluationResult:
    """Plays an evaluation of an experiment, as long as its result is wanted.

    Args:
        evaluation: The settings of evaluations.
        spec: What is played.
        modules: This machine's modules that register environments.
        weights: The weights to evaluate.
        graph: The acting graph.
        request: Id of the evaluation.
        seed: Seed of the games.
        actions: ``greedy`` or ``sample``.
        is_wanted: Whether the result is still wanted.

    Raises:
        EnvironmentFailedError: The environment failed several times in a row.
        TinyqueueError: The result is not wanted any more, or the environment cannot be built here.
    """

    def go_on(done: int) -> None:
        if not is_wanted():
            raise TinyqueueError(f"the games of evaluation {request} are no longer needed.")

    games = play_games(
        spec.evaluated,
        PolicyRunner(graph, weights.arrays, weights.version, weights.env_steps),
        evaluation_head(spec.head, spec.actions, sample=actions == "sample"),
        episodes=evaluation.episodes,
        slots=evaluation.slots,
        seed=seed,
        modules=modules,
        spaces=(spec.observations, spec.actions),
        limits=Limits(evaluation.max_steps_per_game, evaluation.timeout_s),
        on_progress=go_on,
    )
    return result_of(
        games,
        request=request,
        experiment=spec.experiment,
        weights=weights,
        player="learner",
        actions=actions,
    )


class LocalGames:
    """Plays every request immediately, in the caller's thread: the serial loop's evaluator.

    Args:
        evaluation: The settings of evaluations.
        spec: What is played.
        modules: This machine's modules that register environments.
        graph: The acting graph.
        playing: Entered while games are played.
    """

    def __init__(
        self,
        evaluation: EvaluationConfig,
        spec: PlaySpec,
        modules: Sequence[str],
        graph: bytes,
        playing: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._evaluation = evaluation
        self._spec = spec
        self._modules = modules
        self._graph = graph
        self._playing = playing
        self._answer: Answer | NoAnswer | None = None

    def request(
        self, weights: WeightVersion, request: str, seed: int, actions: str, *, here: bool = False
    ) -> None:
        """Plays the games before it returns; failures become the answer."""
        try:
            with self._playing():
                result = play_here(
                    self._evaluation,
                    self._spec,
                    self._modules,
                    weights,
                    self._graph,
                    request,
                    seed,
                    actions,
                )
        except Exception as error:
            # Nothing that an environment raises may end the training.
            self._answer = NoAnswer.of(request, error)
        else:
            self._answer = Answer(result, is_own=True)

    def play_instead(self) -> bool:
        """False: it has already played them."""
        return False

    def poll(self) -> Answer | NoAnswer | None:
        """The answer to the last request, once."""
        answer, self._answer = self._answer, None
        return answer
