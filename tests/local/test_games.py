"""Evaluation games in the learner's own process."""

from balancing import BALANCES, FALLS, graph, spec, version

from tinyqueue.catalogue import make_experiment
from tinyqueue.local.games import GamesHere, play_here

EXPERIMENT = make_experiment(
    {
        "name": "pole",
        "environment": {"id": "CartPole-v1"},
        "evaluation": {"episodes": 5, "slots": 3},
    }
)


def test_games_are_those_of_the_experiment():
    result = play_here(EXPERIMENT, spec(), (), version(7), graph(), "ask", 3)

    assert (result.request, result.experiment, result.run) == ("ask", "pole", spec().run)
    assert (result.policy_version, result.player) == (7, "learner")
    assert result.returns.tolist() == [500.0] * 5


def test_a_serial_run_has_its_answer_at_once_and_once():
    games = GamesHere(EXPERIMENT, spec(), (), graph())
    assert games.poll() is None

    games.request(version(7, BALANCES), "first", seed=1)
    games.request(version(8, FALLS), "second", seed=2)

    answer = games.poll()
    assert (answer.request, answer.policy_version) == ("second", 8)
    assert answer.returns.max() < 15
    assert games.poll() is None
