"""Given environments that people write, and the protocol of Atari's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tinyqueue.errors import ConfigError
from tinyqueue.experiment.environment import AtariConfig, EnvironmentConfig
from tinyqueue.experiment.experiment import Experiment, parse_experiment
from tinyqueue.experiment.play_spec import PlaySpec


@dataclass(frozen=True)
class _Nothing:
    """A component without settings."""


def _parse(environment: dict[str, Any]) -> Experiment:
    return parse_experiment(
        {"environment": environment}, algorithms={"impala": _Nothing}, models={"mlp": _Nothing}
    )


def test_an_atari_game_alone_has_the_whole_protocol() -> None:
    environment = EnvironmentConfig(id="ALE/Pong-v5")

    assert environment.stack == 4
    assert environment.atari == AtariConfig(
        sticky=0.25,
        noop_max=30,
        fire_reset=True,
        life_loss=False,
        frame_skip=4,
        max_frames=True,
        size=84,
        colour="gray",
        crop=None,
        stuck_ticks=0,
        max_frames_per_episode=108_000,
    )


def test_what_is_said_of_an_atari_game_counts() -> None:
    environment = EnvironmentConfig.model_validate(
        {"id": "ALE/Pong-v5", "stack": 1, "atari": {"sticky": 0, "crop": [34, 16, 0, 0]}}
    )

    assert environment.stack == 1
    assert environment.atari == AtariConfig(sticky=0.0, crop=(34, 16, 0, 0))


def test_other_environments_have_no_such_protocol_and_one_observation() -> None:
    environment = EnvironmentConfig(id="CartPole-v1")

    assert (environment.stack, environment.atari) == (1, None)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"id": "CartPole-v1", "atari": {}}, r"\[environment.atari\] is for ids.*CartPole-v1"),
        ({"id": "ALE/Pong-v5", "atari": {"stikcy": 0}}, "did you mean 'sticky'"),
        ({"id": "ALE/Pong-v5", "atari": {"sticky": 1}}, r"environment.atari.sticky = 1"),
        ({"id": "ALE/Pong-v5", "atari": {"colour": "grey"}}, "'gray', 'luminance' or 'rgb'"),
        ({"id": "ALE/Pong-v5", "atari": {"crop": [100, 110, 0, 0]}}, "leaves nothing of the 210"),
        ({"id": "ALE/Pong-v5", "atari": {"crop": [1, 2]}}, "environment.atari.crop"),
        ({"id": "ALE/Pong-v5", "atari": {"max_frames_per_episode": 3}}, "less than one tick"),
        ({"id": "ALE/Pong-v5", "kwargs": {"frameskip": 1}}, "frameskip is .*atari.frame_skip"),
        ({"id": "ALE/Pong-v5", "stack": 0}, "environment.stack = 0"),
    ],
)
def test_what_cannot_be_used_is_named(environment: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        _parse(environment)


def test_the_effective_document_says_the_protocol_and_parses_to_it() -> None:
    experiment = _parse({"id": "ALE/Breakout-v5", "atari": {"life_loss": True}})

    document = experiment.document()

    assert document["environment"]["stack"] == 4
    assert document["environment"]["atari"]["life_loss"] is True
    assert document["environment"]["atari"]["noop_max"] == 30
    assert _parse(document["environment"]).environment == experiment.environment


def test_a_spec_brings_the_protocol_to_players() -> None:
    environment = EnvironmentConfig(id="ALE/Pong-v5", atari=AtariConfig(size=64))
    spec = PlaySpec(
        experiment="pong-impala",
        run="0" * 32,
        environment=environment,
        observation_space={},
        action_space={},
        head="categorical",
        ticks=1,
        slots=1,
        graph_sha256="a" * 64,
    )

    assert PlaySpec.from_json(spec.to_json()).environment == environment


def test_an_environment_with_its_own_clock_plays_alone_unless_told_otherwise() -> None:
    experiment = _parse({"id": "Robot-v0", "realtime": True, "tick_s": 0.05})

    assert experiment.session.slots == 1
    assert experiment.evaluation.slots == 1
    assert _parse({"id": "Robot-v0"}).session.slots == 32


@pytest.mark.parametrize("section", ["session", "evaluation"])
def test_several_slots_would_hold_each_others_clocks(section: str) -> None:
    document = {"environment": {"id": "Robot-v0", "realtime": True}, section: {"slots": 4}}

    wanted = rf"{section}\.slots = 4 with environment\.realtime: .*held"
    with pytest.raises(ConfigError, match=wanted):
        parse_experiment(document, algorithms={"impala": _Nothing}, models={"mlp": _Nothing})


def test_a_tick_without_a_clock_is_refused() -> None:
    with pytest.raises(ConfigError, match="set realtime = true as well"):
        _parse({"id": "Robot-v0", "tick_s": 0.05})
