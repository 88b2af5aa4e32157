"""Evaluations that fail, last or contradict themselves, and how a run ends all the same."""

import time

import numpy as np
import pytest
from stateless_source import StatelessSource, taken

from tinyqueue.errors import LeaseLostError
from tinyqueue.evaluation.answers import Answer, NoAnswer
from tinyqueue.evaluation.threshold import ReturnThreshold
from tinyqueue.learner.training_run import TrainingRun
from tinyqueue.run.checkpoints import Checkpoints
from tinyqueue.wire.evaluations import EvaluationResult


class Games:
    """Answers with the next of ``answers``: a mean, an exception, or None for nothing yet."""

    def __init__(self, *answers, is_own=True, **ends):
        self.answers, self.asked, self.here, self.ends = list(answers), [], [], ends
        self.is_own = is_own if isinstance(is_own, list) else [is_own] * len(answers)
        self._request = None

    def request(self, weights, request, seed, actions, here=False):
        self.asked.append((weights.version, actions))
        self.here.append(here)
        self._request, self._how = request, actions

    def poll(self):
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
    def __init__(self):
        self.messages, self.evaluations, self.is_evaluating = [], [], False
        self.remarks = []

    def message(self, text):
        self.messages.append(text)

    def refused(self, batch):
        raise AssertionError("every update is sound")

    def trained(self, batches):
        pass

    def closing_advice(self):
        return []

    def closing_remarks(self):
        return self.remarks

    def evaluated(self, evaluated, threshold):
        self.evaluations.append((evaluated.policy, evaluated.mean_return))


@pytest.fixture
def reporter():
    return Reporter()


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoints", keep=3)


@pytest.fixture
def make_training(make_updater, make_experiment_of, checkpoints, reporter):
    def make(games, can_sample=False, **sections):
        sections = {"evaluation": {"near": 0.5, "every_env_steps": 1}, **sections}
        experiment = make_experiment_of(**sections)
        threshold = ReturnThreshold(100.0, experiment.evaluation, games, 0, can_sample=can_sample)
        source = StatelessSource(lambda: True)
        updater = make_updater(**sections)
        return TrainingRun(experiment, updater, checkpoints, threshold, reporter, source)

    return make


@pytest.fixture
def play(make_batch):
    """Updates whose first 100 episodes return nothing, and all later ones 100."""

    def train(training, updates):
        for n in range(updates):
            value = 0.0 if n < 50 else 100.0
            training.update(taken([make_batch(n, returns=[value, value])]))
            training.saver.save_if_due()
            if training.is_over():
                return True
        return False

    return train


def test_an_evaluation_that_fails_is_said_once_and_asked_again(make_training, play, reporter):
    fails = RuntimeError("lost the simulator (at flaky.py:15)")
    training = make_training(Games(fails, fails, 104.0, 103.0))

    over = play(training, 120)

    assert over
    assert training.finish().ended == "solved"
    assert reporter.messages == [
        "the evaluation has no result: lost the simulator (at flaky.py:15). Training goes on; "
        "the next try is in 100 env steps, unless the mean of the first 100 training episodes is "
        "there by then (evaluation.near)."
    ]


def test_fresh_games_that_contradict_decide_nothing(make_training, play, reporter, checkpoints):
    games = Games(104.0, -99_960.0)
    training = make_training(games)

    over = play(training, 120)
    outcome = training.finish()

    assert not over
    assert outcome.ended == "stopped"
    assert outcome.last_mean == -99_960.0
    assert reporter.messages == [
        "not solved: 4 greedy games came to 104.0, and 4 fresh ones of the same weights to "
        "-99,960. Training goes on; the next evaluation is in 94 env steps, unless the mean of the "
        "first 100 training episodes is there by then (evaluation.near)."
    ]
    assert checkpoints.best().score == -99_960.0
    assert len(games.asked) == 3


@pytest.mark.parametrize("is_own", [True, False])
def test_what_another_has_played_ends_a_run_only_with_games_of_the_learner(
    make_training, play, is_own
):
    games = Games(104.0, 103.0, is_own=is_own)
    training = make_training(games)

    assert play(training, 120)

    assert training.finish().ended == "solved"
    assert games.here == [False, not is_own]


@pytest.mark.parametrize("forged", [1e9, float(np.finfo(np.float32).max)])
def test_what_another_invents_ends_nothing_and_is_not_the_best(
    make_training, play, checkpoints, forged
):
    games = Games(forged, 20.0, is_own=False)
    training = make_training(games)

    assert not play(training, 120)

    assert games.here[:2] == [False, True]
    assert checkpoints.best().score == 20.0


FORGED = [120.0, 1e9, float(np.finfo(np.float32).max)]


@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.parametrize("then", [RuntimeError("lost"), None], ids=["failed", "not yet there"])
def test_what_another_claims_is_neither_best_nor_reported_before_the_learner_confirms_it(
    make_training, play, checkpoints, forged, then
):
    training = make_training(Games(20.0, forged, then, is_own=[True, False, True]))

    assert not play(training, 120)
    outcome = training.finish()

    assert checkpoints.best().score == 20.0
    assert (outcome.ended, outcome.deciding_mean, outcome.deciding_games) == ("stopped", None, 0)
    assert outcome.last_mean == 20.0


@pytest.mark.parametrize("forged", FORGED)
def test_cut_games_of_another_beyond_the_level_are_no_result(
    make_training, make_batch, checkpoints, reporter, forged
):
    games = Games(forged, is_own=False, cut=1)
    training = make_training(games, stop={"max_env_steps": 8})

    training.update(taken([make_batch(0)]))
    over = [training.is_over() for _ in range(2)]
    outcome = training.finish()

    assert over == [False, True]
    assert checkpoints.best() is None
    assert (outcome.last_mean, outcome.deciding_mean) == (None, None)
    assert outcome.reason.startswith("a worker reports a mean return of")
    assert reporter.messages[-1].endswith("the run ends without it.")


def test_what_another_reports_below_the_level_counts(make_training, play, checkpoints):
    training = make_training(Games(60.0, is_own=False))

    play(training, 120)

    assert checkpoints.best().score == 60.0
    assert training.finish().last_mean == 60.0


def test_what_another_claims_is_told_and_written_down_only_once_it_is_confirmed(
    make_training, play, reporter
):
    training = make_training(Games(1e9, 20.0, 104.0, 103.0, is_own=[False, True, False, True]))

    assert play(training, 120)

    assert [mean for _, mean in reporter.evaluations] == [20.0, 104.0, 103.0]
    first, *_ = reporter.messages
    assert first.startswith("player me of login eve reports a mean of 1")
    assert first.endswith("; the learner plays the same weights itself")


def test_a_worker_that_reports_too_little_keeps_no_run_from_being_solved(
    make_training, play, reporter, checkpoints
):
    games = Games(*[1.0] * 5, 104.0, 103.0, is_own=[False] * 5 + [True] * 2)
    training = make_training(games)

    assert play(training, 120)

    assert training.finish().ended == "solved"
    assert games.here == [False] * 5 + [True, False]
    (told,) = reporter.messages
    assert told.startswith("player me of login eve reports a mean of 1.0 in 4 greedy games (vers")
    assert told.endswith(
        "), and the learner's own 4 games of the same weights come to 104.0. Its environment is "
        "another one, or it reports what is not so: the learner's own games count, and from now "
        "on it plays again whatever that login has played"
    )
    assert checkpoints.best().score == 104.0


def test_after_a_contradiction_the_learner_plays_again_whatever_that_login_reports(
    make_training, play, reporter
):
    games = Games(*[1.0] * 5, 60.0, 1.0, 61.0, 1.0, 62.0, is_own=[False] * 5 + [True, False] * 3)
    training = make_training(games)

    play(training, 120)

    assert games.here[5:10] == [True, False, True, False, True]
    assert [mean for _, mean in reporter.evaluations][5:] == [60.0, 61.0, 62.0]
    assert sum("reports what is not so" in text for text in reporter.messages) == 1


def test_a_worker_that_is_right_is_looked_at_now_and_then_and_nothing_is_said(
    make_training, play, reporter
):
    games = Games(*[60.0] * 5, 61.0, 60.0, is_own=[False] * 5 + [True, False])
    training = make_training(games)

    play(training, 120)

    assert games.here[:7] == [False] * 5 + [True, False]
    assert reporter.messages == []


@pytest.mark.parametrize("said", [1.0, 1e9])
def test_another_can_neither_confirm_nor_contradict_what_the_learner_has_played(
    make_training, play, said
):
    games = Games(104.0, said, 103.0, is_own=[True, False, True])
    training = make_training(games)

    assert play(training, 120)

    assert training.finish().ended == "solved"
    assert games.here == [False, False, True]


def test_without_fresh_games_a_level_is_not_reached(make_training, play, checkpoints):
    training = make_training(Games(104.0))

    play(training, 120)
    outcome = training.finish()

    assert (outcome.ended, outcome.deciding_mean) == ("stopped", 104.0)
    assert checkpoints.best().score == 104.0
    assert checkpoints.newest().updates == 120


def test_checkpoints_go_on_while_games_are_played(make_training, play, checkpoints):
    training = make_training(Games(), learner={"checkpoint_every_s": 1e-6})

    play(training, 120)

    assert checkpoints.newest().updates == 120


def test_what_solved_a_run_is_its_newest_checkpoint_whatever_was_written_since(
    make_training, play, checkpoints
):
    games = Games(*[None] * 10, 104.0, *[None] * 10, 104.0)
    training = make_training(games, learner={"checkpoint_every_s": 1e-6, "keep_between": 0})

    assert play(training, 120)
    outcome = training.finish()

    assert outcome.ended == "solved"
    assert checkpoints.newest().updates == outcome.updates < 90
    assert checkpoints.best().updates == outcome.updates


def test_the_last_weights_are_judged_before_the_limit_is_said(make_training, make_batch, reporter):
    games = Games(40.0)
    training = make_training(games, stop={"max_env_steps": 20})

    over = []
    for n in range(3):
        training.update(taken([make_batch(n)]))
        over.append(training.is_over())
    assert over == [False, False, False]
    assert training.is_spent
    assert training.is_over()

    reporter.remarks = ["the environment failed"]
    outcome = training.finish()
    assert (outcome.ended, outcome.last_mean) == ("max env steps", 40.0)
    assert outcome.remarks == ("the environment failed",)
    assert outcome.last_env_steps == outcome.env_steps == 24
    assert len(games.asked) == 1


def test_the_last_weights_may_solve_a_run(make_training, make_batch, reporter):
    training = make_training(Games(104.0, 104.0), stop={"max_env_steps": 8})
    reporter.remarks = ["the environment failed"]

    training.update(taken([make_batch(0)]))
    over = [training.is_over() for _ in range(3)]

    assert over == [False, False, True]
    outcome = training.finish()
    assert (outcome.ended, outcome.remarks) == ("solved", ("the environment failed",))


def test_the_last_state_is_saved_before_its_games_and_not_again_after_them(
    make_training, make_batch, checkpoints
):
    training = make_training(Games(None, None, 40.0), stop={"max_env_steps": 8})
    training.update(taken([make_batch(0)]))

    assert not training.is_over()
    assert [path.name for path in checkpoints.paths()] == ["000000000008"]
    while not training.is_over():
        pass
    training.finish()

    # The second holds the score of its evaluation.
    assert [path.name for path in checkpoints.paths()] == ["000000000008", "000000000008-2"]
    assert checkpoints.best().score == 40.0


def test_games_that_do_not_end_hold_up_the_end_for_a_bounded_time(
    make_training, make_batch, reporter, monkeypatch
):
    now = [1000.0]
    training = make_training(Games(), stop={"max_env_steps": 8})
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    training.update(taken([make_batch(0)]))
    over = []
    for _ in range(4):
        over.append(training.is_over())
        now[0] += 60.0

    assert over == [False, False, True, True]
    assert reporter.messages[0].startswith("the last env step is reached; waiting for ")
    assert "evaluation games" in reporter.messages[0]
    outcome = training.finish()
    assert (outcome.ended, outcome.reason) == (
        "max env steps",
        "the games were not finished within 120 s",
    )


def test_last_games_that_cannot_be_played_are_the_reason_that_nothing_is_known(
    make_training, make_batch, reporter
):
    fails = RuntimeError("lost the simulator.")
    training = make_training(Games(fails), stop={"max_env_steps": 8})

    training.update(taken([make_batch(0)]))
    over = [training.is_over() for _ in range(2)]

    assert over == [False, True]
    assert reporter.messages[-1] == (
        "the evaluation has no result: lost the simulator; the run ends without it."
    )
    outcome = training.finish()
    assert (outcome.ended, outcome.reason) == ("max env steps", "lost the simulator")


def test_last_weights_whose_fresh_games_fail_were_evaluated(make_training, make_batch):
    training = make_training(Games(104.0, RuntimeError("lost")), stop={"max_env_steps": 8})

    training.update(taken([make_batch(0)]))
    over = [training.is_over() for _ in range(3)]

    assert over == [False, False, True]
    outcome = training.finish()
    assert (outcome.last_mean, outcome.reason) == (104.0, "")


def test_last_weights_are_evaluated_after_earlier_ones_could_not_be(make_training, play, reporter):
    fails = RuntimeError("lost the simulator")
    # Asked for weights of the middle of the run, it fails after the last env step.
    games = Games(*[None] * 90, fails, 40.0)
    training = make_training(games, stop={"max_env_steps": 600})
    play(training, 100)
    assert training.is_spent

    over = [training.is_over() for _ in range(20)]

    assert over[-1]
    assert reporter.messages[-1].endswith("; the last weights are evaluated next.")
    outcome = training.finish()
    assert (outcome.last_mean, outcome.reason) == (40.0, "")


def test_where_greedy_play_stands_still_the_same_weights_are_judged_by_sampled_actions(
    make_training, play, reporter
):
    games = Games(0.0, 104.0, 103.0)
    # Asked for the first time when the training mean has come to the level, 100.
    evaluation = {"near": 1, "every_env_steps": 10_000}
    training = make_training(games, can_sample=True, evaluation=evaluation)

    over = play(training, 250)
    outcome = training.finish()

    assert over
    assert (outcome.ended, outcome.policy) == ("solved", "sampled")
    assert reporter.evaluations == [("greedy", 0.0), ("sampled", 104.0), ("sampled", 103.0)]
    assert len({version for version, _ in games.asked}) == 1


def test_every_exception_passes_after_the_state_has_been_saved(
    make_training, make_batch, checkpoints
):
    training = make_training(Games())

    training.update(taken([make_batch(0)]))

    with pytest.raises(ZeroDivisionError), training.saving():
        raise ZeroDivisionError

    assert checkpoints.newest().updates == 1


@pytest.mark.parametrize("error", [LeaseLostError("gone"), OSError("x"), KeyError("a defect")])
@pytest.mark.parametrize("is_ours", [True, False])
def test_whatever_ends_a_run_it_is_saved_unless_it_is_anothers_now(
    make_training, make_batch, checkpoints, error, is_ours
):
    training = make_training(Games())

    training.update(taken([make_batch(0)]))

    with pytest.raises(type(error)), training.saving(lambda: is_ours):
        raise error

    assert (checkpoints.newest() is not None) == is_ours


def test_what_cannot_be_saved_does_not_hide_what_ended_the_run(
    make_training, make_batch, checkpoints, monkeypatch
):
    training = make_training(Games())
    training.update(taken([make_batch(0)]))
    monkeypatch.setattr(checkpoints, "save", lambda *_, **__: 1 / 0)

    with pytest.raises(KeyError, match="first"), training.saving():
        raise KeyError("first")
