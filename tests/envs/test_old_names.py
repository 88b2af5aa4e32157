"""Given ids of Atari games from before ALE/<Game>-v5."""

import re
import shlex

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


@pytest.mark.parametrize("old", ["PongNoFrameskip-v4", "Breakout-v0", "SeaquestDeterministic-v4"])
def test_the_command_that_is_answered_gives_the_same_protocol(old):
    said = [line.strip() for line in answer(old).splitlines() if line.startswith("  ")]
    lines = [line for line in said if line.startswith("environment.")]
    program, train, target, *options = shlex.split(said[-1])

    document, _ = find_document(target)
    experiment = configured(document, options[1::2])

    assert (program, train, set(options[::2])) == ("tinyqueue", "train", {"--set"})
    assert experiment.environment.atari == (
        make_experiment(with_overrides({}, lines)).environment.atari
    )


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
