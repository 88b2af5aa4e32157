"""Evaluation games in the learner's own process."""

from balancing import BALANCES, FALLS, graph, spec, version
from gymnasium.envs.classic_control.cartpole import CartPoleEnv, CartPoleVectorEnv

from tinyqueue.catalogue import make_experiment
from tinyqueue.evaluation.local_games import LocalGames, play_here
from tinyqueue.experiment.environment import EnvironmentConfig

EXPERIMENT = make_experiment(
    {
        "name": "pole",
        "environment": {"id": "CartPole-v1"},
        "evaluation": {"episodes": 5, "slots": 3},
    }
)


def test_games_are_those_of_the_experiment():
    result = play_here(EXPERIMENT.evaluation, spec(), (), version(7), graph(), "ask", 3)

    assert (result.request, result.experiment, result.run) == ("ask", "pole", spec().run)
    assert (result.policy_version, result.player) == (7, "learner")
    assert result.returns.tolist() == [500.0] * 5


def test_a_serial_run_has_its_answer_at_once_and_once():
    games = LocalGames(EXPERIMENT.evaluation, spec(), (), graph())
    assert games.poll() is None

    games.request(version(7, BALANCES), "first", seed=1, actions="greedy")
    games.request(version(8, FALLS), "second", seed=2, actions="greedy")

    answer = games.poll()
    assert (answer.request, answer.result.policy_version) == ("second", 8)
    assert answer.result.returns.max() < 15
    assert games.poll() is None


def test_games_may_be_played_by_sampled_actions():
    greedy, sampled = (
        play_here(EXPERIMENT.evaluation, spec(), (), version(7, FALLS), graph(), "ask", 3, actions)
        for actions in ("greedy", "sample")
    )

    assert (greedy.actions, sampled.actions) == ("greedy", "sample")
    # Without any preference, always left falls sooner than left and right by chance.
    assert greedy.returns.mean() < sampled.returns.mean()


def test_an_environment_that_fails_is_an_answer_of_a_serial_run(monkeypatch):
    def fails(self, action):
        raise RuntimeError("lost the simulator")

    monkeypatch.setattr(CartPoleVectorEnv, "step", fails)
    monkeypatch.setattr(CartPoleEnv, "step", fails)
    games = LocalGames(EXPERIMENT.evaluation, spec(), (), graph())

    games.request(version(7, BALANCES), "first", seed=1, actions="greedy")

    answer = games.poll()
    assert (answer.request, answer.kind) == ("first", "RuntimeError")
    assert "lost the simulator" in answer.text


def test_games_are_played_in_the_evaluation_environment():
    shaped = EnvironmentConfig.model_validate(
        {
            "id": "CartPole-v1",
            "wrappers": [
                {"wrapper": "gymnasium.wrappers:ClipReward", "min_reward": 0, "max_reward": 0.5}
            ],
        }
    )
    played = spec().model_copy(update={"environment": shaped})

    as_trained = play_here(EXPERIMENT.evaluation, played, (), version(7), graph(), "ask", 3)
    true = played.model_copy(update={"evaluation_environment": EXPERIMENT.environment})
    as_judged = play_here(EXPERIMENT.evaluation, true, (), version(7), graph(), "ask", 3)

    assert as_trained.returns.tolist() == [250.0] * 5
    assert as_judged.returns.tolist() == [500.0] * 5
