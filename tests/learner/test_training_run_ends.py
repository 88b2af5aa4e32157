"""How a run ends: whatever its evaluations do, and with what it keeps."""

import time

import pytest
from answering_games import Games
from answering_games import checkpoints as checkpoints
from answering_games import make_training as make_training
from answering_games import play as play
from answering_games import reporter as reporter
from stateless_source import taken

from tinyqueue.errors import LeaseLostError


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


def test_a_run_that_is_not_solved_tells_its_training_return(make_training, make_batch):
    training = make_training(Games(40.0, 40.0, 40.0), stop={"max_env_steps": 20})
    for n in range(3):
        training.update(taken([make_batch(n, returns=[10.0 * n, 30.0])]))
        training.is_over()

    outcome = training.finish()

    assert (outcome.training_mean, outcome.training_episodes) == (20.0, 6)


@pytest.mark.parametrize("mean", [40.0, 104.0])
def test_a_run_that_saw_no_whole_episode_has_failed_unless_its_games_solve_it(
    make_training, make_batch, reporter, mean
):
    training = make_training(Games(mean, mean), stop={"max_env_steps": 8})
    training.update(taken([make_batch(0)]))
    while not training.is_over():
        pass

    reporter.spoiled = "the environment failed for every training episode"
    outcome = training.finish()

    solved = mean > 100
    assert outcome.ended == ("solved" if solved else "failed")
    assert outcome.reason == ("" if solved else reporter.spoiled)


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


class SilentWorker(Games):
    """A worker that gives signs and no answer, and a learner that can play the games."""

    def play_instead(self):
        if self.answers:
            return False
        self.answers, self.is_own = [30.0], [True]
        return True


def test_a_worker_that_does_not_answer_keeps_no_run_from_its_last_evaluation(
    make_training, make_batch, reporter, monkeypatch
):
    now = [1000.0]
    training = make_training(SilentWorker(), stop={"max_env_steps": 8})
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    training.update(taken([make_batch(0)]))
    over = []
    for _ in range(5):
        over.append(training.is_over())
        now[0] += 30.0

    assert over == [False, False, False, True, True]
    assert "no worker has played them within 60 s, so the learner does" in " ".join(
        reporter.messages
    )
    assert training.finish().last_mean == 30.0


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
