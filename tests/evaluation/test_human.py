"""Human-normalised scores, by hand."""

import ale_py
import gymnasium
import pytest

from tinyqueue.evaluation.human import PUBLISHED, human_reference


@pytest.mark.parametrize(
    ("environment", "score", "normalised"),
    [
        ("ALE/Pong-v5", -20.7, 0.0),
        ("ALE/Pong-v5", 14.6, 1.0),
        ("ALE/Pong-v5", 18.0, 1.0963172804532578),
        ("ALE/Breakout-v5", 30.0, 0.9826388888888888),
        ("ALE/SpaceInvaders-v5", 908.35, 0.5),
        ("ALE/Qbert-v5", 13455.0, 1.0),
        ("ALE/BeamRider-v5", 363.9, 0.0),
        ("ALE/Seaquest-v5", 21061.55, 0.5),
        ("ALE/MsPacman-v5", -6337.0, -1.0),
        ("ALE/Freeway-v5", 29.6, 1.0),
        ("ALE/Boxing-v5", 100.0, 8.325),
        ("ALE/Enduro-v5", 430.25, 0.5),
        ("ALE/Skiing-v5", -4336.9, 1.0),
        ("ALE/VideoPinball-v5", 16256.9, 0.0),
    ],
)
def test_random_play_is_nought_and_the_human_one(environment, score, normalised):
    reference = human_reference(environment)

    assert reference is not None
    assert reference.normalised(score) == pytest.approx(normalised, abs=1e-12)


@pytest.mark.parametrize(
    "other", ["CartPole-v1", "Pong-v5", "ALE/Tetris-v5", "MinAtar/Breakout-v1"]
)
def test_other_environments_have_no_reference(other):
    assert human_reference(other) is None


def test_the_57_games_all_have_a_human_above_random_play():
    assert len(PUBLISHED) == 57
    assert all(pair.human > pair.random for pair in PUBLISHED.values())


def test_every_published_game_is_one_of_ale_py():
    gymnasium.register_envs(ale_py)
    assert all(f"ALE/{name}-v5" in gymnasium.registry for name in PUBLISHED)
