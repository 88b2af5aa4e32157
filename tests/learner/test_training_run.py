"""From start or resume to the end: what is restored, what decides, what is kept."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from stateless_source import StatelessSource, taken

from tinyqueue.evaluation.answers import Answer
from tinyqueue.evaluation.threshold import ReturnThreshold
from tinyqueue.learner.training_run import TrainingRun
from tinyqueue.run.checkpoints import Checkpoints
from tinyqueue.wire.evaluations import EvaluationResult


class Games:
    """Answers each request at the next poll with the next of ``means``."""

    def __init__(self, *means):
        self.means = list(means)
        self.weights = []
        self._asked = None

    def request(self, weights, request, seed, actions, here=False):
        self.weights.append(weights)
        self._asked = request

    def play_instead(self):
        return False

    def poll(self):
        if self._asked is None or not self.means:
            return None
        request, self._asked = self._asked, None
        returns = np.full(4, self.means.pop(0), np.float32)
        version = self.weights[-1].version
        result = EvaluationResult(
            request, "pole", "r", version, returns, np.ones(4, np.int32), 0.1, "me"
        )
        return Answer(result, is_own=True)


class Reporter:
    spoiled = ""

    def __init__(self):
        self.messages, self.updates, self.evaluations = [], 0, []
        self.refusals = []
        self.is_evaluating = False

    def message(self, text):
        self.messages.append(text)

    def trained(self, batches):
        self.updates += 1

    def refused(self, batch):
        self.refusals.append(batch)

    def evaluated(self, evaluated, threshold):
        self.evaluations.append((evaluated.mean_return, threshold))

    def closing_advice(self):
        return ["worth trying"]

    def closing_remarks(self):
        return []


@pytest.fixture
def reporter():
    return Reporter()


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoints", keep=3)


@pytest.fixture
def make_training(make_updater, make_experiment_of, checkpoints, reporter):
    def make(games=None, threshold=100.0, committed=lambda: True, **sections):
        evaluation = {"near": 0.5, "every_env_steps": 1}
        experiment = make_experiment_of(evaluation=evaluation, **sections)
        reached = ReturnThreshold(threshold, experiment.evaluation, games or Games(), 0)
        updater = make_updater(evaluation=evaluation, **sections)
        source = StatelessSource(committed)
        return TrainingRun(experiment, updater, checkpoints, reached, reporter, source), updater

    return make


@pytest.fixture
def play(make_batch):
    """Updates whose first 100 episodes return nothing, and all later ones so much."""

    def train(training, updates, mean):
        for n in range(updates):
            episode_return = 0.0 if n < 50 else mean
            training.update(taken([make_batch(n, returns=[episode_return, episode_return])]))
            if training.is_over():
                return True
        return False

    return train


def test_a_new_run_has_nothing_to_restore(make_training, reporter):
    training, updater = make_training()

    training.restore(SimpleNamespace(env_steps=0))

    assert reporter.messages == []
    assert updater.clock.updates == 0


def test_a_resumed_run_says_what_it_resumed_and_what_is_lost(
    make_training, make_batch, reporter, algorithm
):
    training, updater = make_training()
    for n in range(3):
        training.update(taken([make_batch(n)]))
    training.saver.save()
    resumed, updater = make_training()

    # 24 env steps are in the checkpoint; the ledger has accepted 40.
    resumed.restore(SimpleNamespace(env_steps=40))

    assert reporter.messages == [
        "resumed from the checkpoint at 24 env steps (update 3); "
        "updates on 16 env steps accepted since are lost"
    ]
    # The clock counts what was accepted, so that schedules do not go back.
    assert updater.clock.env_steps == 40
    assert updater.clock.updates == 3


def test_a_run_that_was_stopped_in_peace_has_lost_nothing_and_says_nothing_of_it(
    make_training, make_batch, reporter
):
    training, _ = make_training()
    training.update(taken([make_batch(0)]))
    training.saver.save()
    resumed, _ = make_training()

    resumed.restore(SimpleNamespace(env_steps=8))

    assert reporter.messages == ["resumed from the checkpoint at 8 env steps (update 1)"]


def test_a_run_killed_before_its_first_checkpoint_keeps_its_clock(make_training, reporter):
    training, updater = make_training()

    training.restore(SimpleNamespace(env_steps=40))

    assert reporter.messages == [
        "the run has no checkpoint yet: training starts from scratch, and updates on 40 env steps "
        "accepted since are lost"
    ]
    assert updater.clock.env_steps == 40
    assert updater.clock.updates == 0


def test_a_run_that_was_trained_without_a_ledger_keeps_its_clock(make_training, make_batch):
    serial, _ = make_training()
    for n in range(3):
        serial.update(taken([make_batch(n)]))
    serial.saver.save()
    distributed, updater = make_training()

    distributed.restore(SimpleNamespace(env_steps=0))

    assert updater.clock.env_steps == 24


def test_without_a_ledger_nothing_is_lost(make_training, make_batch, reporter):
    training, _ = make_training()
    training.update(taken([make_batch(0)]))
    training.saver.save()
    resumed, updater = make_training()

    resumed.restore(None)

    assert reporter.messages == ["resumed from the checkpoint at 8 env steps (update 1)"]
    assert updater.clock.env_steps == 8


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(
    make_training, make_batch, reporter, checkpoints
):
    training, _ = make_training()
    for n in range(2):
        training.update(taken([make_batch(n)]))
        training.saver.save()
    (checkpoints.directory / "000000000016" / "state.bin").write_bytes(b"torn")
    resumed, updater = make_training()

    resumed.restore(None)

    assert updater.clock.env_steps == 8
    assert "000000000016" in reporter.messages[0]
    assert "checkpoint at 8 env steps" in reporter.messages[1]


def test_the_level_is_decided_by_games_and_told_with_a_second_set(
    make_training, play, reporter, checkpoints
):
    games = Games(104.0, 101.0)
    training, updater = make_training(games)

    over = play(training, 120, mean=90.0)
    outcome = training.finish()

    assert over
    assert outcome.ended == "solved"
    assert (outcome.deciding_mean, outcome.deciding_games) == (104.0, 4)
    assert (outcome.fresh_mean, outcome.fresh_games) == (101.0, 4)
    assert abs(outcome.evaluated_at_s - time.time()) < 30
    assert reporter.evaluations == [(104.0, 100.0), (101.0, 100.0)]
    # Both sets were played by the same frozen weights, while training went on.
    first, second = games.weights
    assert first.version == second.version == outcome.version
    assert np.array_equal(first.arrays["w"], second.arrays["w"])
    assert updater.clock.updates > outcome.updates
    assert checkpoints.best().score == 104.0
    assert checkpoints.best().env_steps == outcome.env_steps


def test_a_training_mean_alone_solves_nothing(make_training, play):
    training, _ = make_training(Games(99.0, 99.0, 99.0))

    over = play(training, 120, mean=1000.0)
    outcome = training.finish()

    assert not over
    assert outcome.ended == "stopped"
    assert outcome.deciding_mean is None


def test_the_best_evaluation_below_the_level_is_kept(make_training, play, checkpoints):
    training, _ = make_training(Games(40.0, 60.0, 50.0))

    play(training, 120, mean=90.0)

    assert checkpoints.best().score == 60.0


def test_what_is_evaluated_has_been_published(make_training, play, published):
    games = Games(10.0)
    training, _ = make_training(games, learner={"publish_every_updates": 1000})

    play(training, 120, mean=90.0)

    asked = games.weights[0]
    assert published[0].version == asked.version
    assert np.array_equal(published[0].arrays["w"], asked.arrays["w"])


def test_the_last_env_step_ends_training_and_is_saved(make_training, make_batch, checkpoints):
    training, _ = make_training(threshold=None, stop={"max_env_steps": 20})

    over = []
    for n in range(3):
        training.update(taken([make_batch(n)]))
        over.append(training.is_over())
    outcome = training.finish()

    assert over == [False, False, True]
    assert (outcome.ended, outcome.env_steps, outcome.threshold) == ("max env steps", 24, None)
    assert checkpoints.newest().env_steps == 24


def test_stopping_saves_what_was_reached(make_training, make_batch, checkpoints):
    training, _ = make_training(stop={"max_env_steps": 1000})
    training.update(taken([make_batch(0)]))

    outcome = training.finish()

    assert (outcome.ended, outcome.updates) == ("stopped", 1)
    assert checkpoints.newest().updates == 1


def test_a_resumed_run_measures_its_progress_from_the_first_start(make_training, play, reporter):
    training, _ = make_training(Games())
    play(training, 90, mean=90.0)
    training.finish()
    games = Games(100.0, 100.0)
    resumed, updater = make_training(games)
    resumed.restore(None)

    # From 0 half of the way to 100 is 50; from the 90 that it goes on with it would be 95.
    over = play(resumed, 160, mean=90.0)

    assert updater.clock.first_mean == 0.0
    assert over


def test_checkpoints_are_made_every_so_many_seconds(make_training, make_batch, checkpoints):
    often, _ = make_training(learner={"checkpoint_every_s": 1e-6})
    often.update(taken([make_batch(0)]))
    often.saver.save_if_due()
    assert checkpoints.newest().env_steps == 8

    seldom, _ = make_training(learner={"checkpoint_every_s": 3600})
    for n in range(3):
        seldom.update(taken([make_batch(n)]))
        seldom.saver.save_if_due()
    assert len(checkpoints.paths()) == 1


def test_a_checkpoint_is_never_ahead_of_the_ledger(make_training, make_batch, checkpoints):
    training, _ = make_training(learner={"checkpoint_every_s": 1e-6}, committed=lambda: False)
    training.update(taken([make_batch(0)]))

    training.saver.save_if_due()

    assert checkpoints.newest() is None


def test_what_solved_a_run_is_written_as_soon_as_the_ledger_has_it(
    make_training, play, checkpoints, reporter
):
    # Given a ledger that has not taken the deciding batch when it is asked first
    answers = iter([False])
    training, _ = make_training(Games(104.0, 101.0), committed=lambda: next(answers, True))

    over = play(training, 120, mean=90.0)
    outcome = training.finish()

    assert over
    assert outcome.ended == "solved"
    assert checkpoints.best().env_steps == outcome.env_steps
    assert reporter.messages == []


def test_a_last_state_that_the_disk_does_not_take_is_told(make_training, play, reporter):
    training, _ = make_training(Games(104.0, 101.0), committed=lambda: False)

    play(training, 120, mean=90.0)
    outcome = training.finish()

    (said,) = reporter.messages
    assert said.startswith(f"the state at {outcome.env_steps} env steps is NOT saved")


def test_a_damaged_best_does_not_end_a_run_that_goes_on(make_training, play, checkpoints):
    # Given the only evaluated checkpoint is torn
    training, _ = make_training(Games(70.0))
    play(training, 120, mean=90.0)
    (evaluated,) = checkpoints.paths()
    (evaluated / "state.bin").write_bytes(b"torn")

    # When another evaluation is below the level
    resumed, _ = make_training(Games(40.0))
    play(resumed, 120, mean=90.0)

    # Then it is the best there is
    assert checkpoints.best().score == 40.0
