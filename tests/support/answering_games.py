"""Evaluations that fail, last or contradict themselves, and a reporter that remembers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stateless_source import StatelessSource, taken

from tinyqueue.evaluation.answers import Answer, NoAnswer
from tinyqueue.evaluation.threshold import ReturnThreshold
from tinyqueue.learner.training_run import TrainingRun
from tinyqueue.run.checkpoints import Checkpoints
from tinyqueue.wire.evaluations import EvaluationResult


class Games:
    """Answers with the next of ``answers``: a mean, an exception, or None for nothing yet."""

    def __init__(
        self, *answers: float | Exception | None, is_own: bool | list[bool] = True, **ends: Any
    ) -> None:
        self.answers, self.ends = list(answers), ends
        self.asked: list[tuple[int, str]] = []
        self.here: list[bool] = []
        self.is_own = is_own if isinstance(is_own, list) else [is_own] * len(answers)
        self._request: str | None = None
        self._how: Any = None

    def request(
        self, weights: Any, request: str, seed: int, actions: str, here: bool = False
    ) -> None:
        self.asked.append((weights.version, actions))
        self.here.append(here)
        self._request, self._how = request, actions

    def play_instead(self) -> bool:
        return False

    def poll(self) -> Answer | NoAnswer | None:
        if self._request is None or not self.answers:
            return None
        is_own, answer = self.is_own.pop(0), self.answers.pop(0)
        if answer is None:
            return None
        request, self._request = self._request, None
        if isinstance(answer, Exception):
            return NoAnswer.of(request, answer)
        returns = np.full(4, answer, np.float32)
        version, lengths = self.asked[-1][0], np.ones(4, np.int32)
        result = EvaluationResult(
            request, "pole", "r", version, returns, lengths, 0.1, "me", self._how, **self.ends
        )
        return Answer(result, is_own, "" if is_own else "eve")


class Reporter:
    def __init__(self) -> None:
        self.messages: list[str] = []
        self.evaluations: list[tuple[str, float]] = []
        self.is_evaluating = False
        self.remarks: list[str] = []
        self.spoiled = ""

    def message(self, text: str) -> None:
        self.messages.append(text)

    def refused(self, batch: object) -> None:
        raise AssertionError("every update is sound")

    def trained(self, batches: object) -> None:
        pass

    def closing_advice(self) -> Sequence[str]:
        return []

    def closing_remarks(self) -> Sequence[str]:
        return self.remarks

    def evaluated(self, evaluated: Any, threshold: object) -> None:
        self.evaluations.append((evaluated.policy, evaluated.mean_return))


@pytest.fixture
def reporter() -> Reporter:
    return Reporter()


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints", keep=3)


@pytest.fixture
def make_training(
    make_updater: Any, make_experiment_of: Any, checkpoints: Checkpoints, reporter: Any
) -> Any:
    def make(games: Any, can_sample: bool = False, **sections: Any) -> TrainingRun:
        sections = {"evaluation": {"near": 0.5, "every_env_steps": 1}, **sections}
        experiment = make_experiment_of(**sections)
        threshold = ReturnThreshold(100.0, experiment.evaluation, games, 0, can_sample=can_sample)
        source = StatelessSource(lambda: True)
        updater = make_updater(**sections)
        return TrainingRun(experiment, updater, checkpoints, threshold, reporter, source)

    return make


@pytest.fixture
def play(make_batch: Any) -> Any:
    """Updates whose first 100 episodes return nothing, and all later ones 100."""

    def train(training: TrainingRun, updates: int) -> bool:
        for n in range(updates):
            value = 0.0 if n < 50 else 100.0
            training.update(taken([make_batch(n, returns=[value, value])]))
            training.saver.save_if_due()
            if training.is_over():
                return True
        return False

    return train
