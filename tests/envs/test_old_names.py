"""Given ids of Atari games from before ALE/<Game>-v5."""

import re

import gymnasium
import pytest

from tinyqueue.catalogue import make_experiment
from tinyqueue.cli.experiments import configured, find_document
from tinyqueue.envs.names import find_environment
from tinyqueue.envs.old_names import refuse_old_atari
from tinyqueue.errors import ConfigError, UnknownNameError
from tinyqueue.experiment.documents import with_overrides


def answer(old):
    with pytest.raises(ConfigError) as raised:
        find_environment(old)
    return str(raised.value)


@pytest.mark.parametrize(
    ("old", "game", "sticky", "frame_skip"),
    [
        ("Breakout-v0", "ALE/Breakout-v5", 0.25, 3),
        ("PongDeterministic-v4", "ALE/Pong-v5", 0.0, 4),
        ("PongDeterministic-v0", "ALE/Pong-v5", 0.25, 4),
        ("PongNoFrameskip-v4", "ALE/Pong-v5", 0.0, 1),
        ("SpaceInvadersDeterministic-v4", "ALE/SpaceInvaders-v5", 0.0, 3),
        ("pongnoframeskip-v4", "ALE/Pong-v5", 0.0, 1),
        ("Breakout-ramDeterministic-v4", "ALE/Breakout-v5", 0.0, 4),
    ],
)
def test_an_old_id_is_answered_with_what_gives_the_same_protocol(old, game, sticky, frame_skip):
    said = [line.strip() for line in answer(old).splitlines() if line.startswith("  ")]
    lines = [line for line in said if line.startswith("environment.")]

    environment = make_experiment(with_overrides({}, lines)).environment

    assert environment.id == game
    assert (environment.atari.sticky, environment.atari.frame_skip) == (sticky, frame_skip)
    assert (environment.atari.noop_max, environment.atari.fire_reset) == (0, False)
    assert environment.observes_ram == ("-ram" in old)


@pytest.mark.parametrize(
    "old", ["PongNoFrameskip-v4", "Breakout-v0", "SeaquestDeterministic-v4", "Pong-ram-v4"]
)
def test_the_command_that_is_answered_gives_the_same_protocol(old):
    with pytest.raises(ConfigError) as raised:
        find_environment(old)
    said = [line.strip() for line in str(raised.value).splitlines() if line.startswith("  ")]
    target, *options = raised.value.instead

    document, _ = find_document(target)
    experiment = configured(document, options[1::2])

    assert (raised.value.wrote, set(options[::2])) == (old, {"--set"})
    asked = make_experiment(with_overrides({}, said))
    assert experiment.environment == asked.environment
    assert not experiment.environment.observes_ram or experiment.model == asked.model


def test_ram_is_said_to_be_a_setting_with_a_model_for_vectors():
    said = answer("Pong-ram-v4")

    assert 'environment.kwargs.obs_type = "ram"\n  environment.stack = 1\n' in said
    assert 'model.name = "mlp"' in said
    assert "the console's 128 bytes of RAM, not the screen" in said
    assert "memory" not in answer("Pong-v4")


def test_a_frame_skip_that_was_drawn_is_said_to_have_no_equal():
    assert "2, 3 or 4 frames at random" in answer("Breakout-v4")


@pytest.mark.parametrize("name", ["CartPole-v0", "Pong-v5", "ALE/Pong-v5", "Pongo-v4", "Pong-v1"])
def test_other_ids_are_not_old_ones(name):
    refuse_old_atari(name)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("ALE/Pnog-v5", "ALE/Pong-v5"),
        ("ALE/Breakout-v4", "ALE/Breakout-v5"),
        ("ALE/SpaceInvader-v5", "ALE/SpaceInvaders-v5"),
        ("Pong-v5", "ALE/Pong-v5"),
    ],
)
def test_an_unknown_game_is_told_the_nearest(wrong, right):
    pytest.importorskip("ale_py")
    with pytest.raises(UnknownNameError, match=re.escape(f"did you mean '{right}'")):
        find_environment(wrong)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("pong", "ALE/Pong-v5"),
        ("Pong", "ALE/Pong-v5"),
        ("Pong-v5", "ALE/Pong-v5"),
        ("PongNoFrameskip-v5", "ALE/Pong-v5"),
        ("mspacman", "ALE/MsPacman-v5"),
        ("brekout", "ALE/Breakout-v5"),
        ("ale/pong-v5", "ALE/Pong-v5"),
        ("Pong-ram-v5", "ALE/Pong-v5"),
    ],
)
def test_a_games_name_alone_is_told_its_id_also_where_ale_py_has_not_been_imported(
    monkeypatch, wrong, right
):
    registry = {key: spec for key, spec in gymnasium.registry.items() if spec.namespace != "ALE"}
    monkeypatch.setattr(gymnasium, "registry", registry)

    with pytest.raises(UnknownNameError) as raised:
        find_environment(wrong)

    assert str(raised.value) == f"unknown environment {wrong!r}; did you mean {right!r}?"
    assert (raised.value.wrote, raised.value.instead) == (wrong, (right,))
