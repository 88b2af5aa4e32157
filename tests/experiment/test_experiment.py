"""Given experiments that people write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyqueue.data.identity import EXPERIMENT_PATTERN
from tinyqueue.errors import ConfigError, UnknownNameError
from tinyqueue.experiment.experiment import Experiment, default_name, parse_experiment


@dataclass(frozen=True)
class _Impala:
    learning_rate: float = 3e-4
    optimiser: Literal["adam", "rmsprop"] = "adam"
    reward_clip: float | None = None

    def __post_init__(self) -> None:
        if self.learning_rate <= 0:
            raise ValueError("learning_rate must be above 0")


@dataclass(frozen=True)
class _Mlp:
    hidden: tuple[int, ...] = (64, 64)


def _parse(document: dict[str, Any]) -> Experiment:
    return parse_experiment(
        document, algorithms={"impala": _Impala, "a3c": _Impala}, models={"mlp": _Mlp}
    )


CARTPOLE = {"environment": {"id": "CartPole-v1"}}


def test_an_environment_alone_is_an_experiment() -> None:
    experiment = _parse(CARTPOLE)

    assert experiment.name == "cartpole-impala"
    assert (experiment.algorithm_name, experiment.algorithm) == ("impala", _Impala())
    assert (experiment.model_name, experiment.model) == ("mlp", _Mlp())
    assert (experiment.session.ticks, experiment.session.slots) == (32, 32)
    assert experiment.seed == 0


def test_every_section_can_be_set() -> None:
    experiment = _parse(
        {
            "name": "mine",
            "seed": 4,
            "environment": {"id": "CartPole-v1", "kwargs": {"a": 1, "b": 1.0, "c": True}},
            "algorithm": {"name": "a3c", "learning_rate": 0.01, "reward_clip": 1},
            "model": {"name": "mlp", "hidden": [8, 8]},
            "session": {"ticks": 5, "codec": "lz4"},
            "learner": {"batches_per_update": 2},
            "evaluation": {"episodes": 10},
            "stop": {"at_return": 475, "max_env_steps": 1000},
        }
    )

    assert (experiment.name, experiment.seed) == ("mine", 4)
    assert experiment.algorithm == _Impala(0.01, "adam", 1.0)
    assert experiment.model.hidden == (8, 8)
    assert [type(v) for v in experiment.environment.kwargs.values()] == [int, float, bool]
    assert experiment.stop.at_return == 475.0


@given(
    rate=st.floats(1e-9, 1.0),
    hidden=st.lists(st.integers(1, 512), max_size=3),
    ticks=st.integers(1, 4096),
    clip=st.none() | st.floats(0.1, 10),
    at_return=st.none() | st.floats(-1e6, 1e6),
    kwargs=st.dictionaries(
        st.text(max_size=5), st.booleans() | st.integers() | st.text(max_size=3)
    ),
)
def test_the_effective_document_parses_to_an_equal_experiment(
    rate: float, hidden: list[int], ticks: int, clip: Any, at_return: Any, kwargs: dict[str, Any]
) -> None:
    document: dict[str, Any] = {
        "environment": {"id": "ALE/Pong-v5", "kwargs": kwargs},
        "algorithm": {"learning_rate": rate} | ({} if clip is None else {"reward_clip": clip}),
        "model": {"hidden": hidden},
        "session": {"ticks": ticks},
        "stop": {} if at_return is None else {"at_return": at_return},
    }

    experiment = _parse(document)

    assert _parse(experiment.document()) == experiment


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"enviroment": {}}, "did you mean 'environment'"),
        ({"session": {"tick": 5}}, r"key in \[session\] 'tick'; did you mean 'ticks'"),
        ({"algorithm": {"learning_rat": 1}}, "did you mean 'learning_rate'"),
        ({"algorithm": {"name": "impalla"}}, "unknown algorithm 'impalla'; did you mean 'impala'"),
        ({"algorithm": {"name": ["impala"]}}, "unknown algorithm"),
        ({"model": {"name": "cnn"}}, "unknown model 'cnn'; known: mlp"),
        ({"algorithm": {"learning_rate": "fast"}}, "algorithm.learning_rate = 'fast'"),
        ({"algorithm": {"learning_rate": 0}}, "learning_rate must be above 0"),
        ({"algorithm": {"optimiser": "sgd"}}, "algorithm.optimiser = 'sgd'"),
        ({"model": {"hidden": [8, "x"]}}, r"model\.hidden\.1 = 'x'"),
        ({"session": {"ticks": 0}}, "session.ticks = 0"),
        ({"session": {"codec": "gzip"}}, "session.codec = 'gzip'"),
        ({"session": 5}, r"session must be a table \(\[session\]\), not 5"),
        ({"learner": {"max_abs_reward": float("inf")}}, "learner.max_abs_reward = inf"),
        ({"stop": {"at_return": float("nan")}}, "stop.at_return = nan"),
        (
            {"evaluation": {"here_after_s": 2}},
            "here_after_s = 2: .* so this must be 0 or at least 4",
        ),
        ({"environment": {}}, "environment.id: Field required"),
        ({"environment": {"id": "X-v0", "kwargs": {"a": None}}}, r"environment\.kwargs.*'a' holds"),
        ({"name": "Not Allowed"}, "name = 'Not Allowed' is not an experiment name"),
        ({"name": "line\n"}, "is not an experiment name"),
        ({"name": 3}, "name = 3"),
        ({"seed": -1}, "seed = -1"),
        ({"seed": True}, "seed = True"),
        ({"seed": 1.5}, "seed = 1.5"),
    ],
)
def test_what_cannot_be_used_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        _parse(CARTPOLE | change)


def test_a_value_as_long_as_a_page_is_cut_in_the_error() -> None:
    with pytest.raises(ConfigError) as raised:
        _parse(CARTPOLE | {"session": {"ticks": "x" * 10_000}})
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize(
    ("environment", "algorithm", "name"),
    [
        ("CartPole-v1", "impala", "cartpole-impala"),
        ("ALE/Pong-v5", "a3c", "pong-a3c"),
        ("MinAtar/Space_Invaders-v1", "dqn", "space_invaders-dqn"),
        ("Game-vx", "impala", "game-vx-impala"),
        ("_private-v0", "impala", "private-impala"),
        ("-v1", "impala", "v1-impala"),
    ],
)
def test_an_experiment_is_named_after_game_and_algorithm(
    environment: str, algorithm: str, name: str
) -> None:
    assert default_name(environment, algorithm) == name


@given(environment=st.text(max_size=80), algorithm=st.text(max_size=20))
def test_a_default_name_is_always_allowed(environment: str, algorithm: str) -> None:
    assert EXPERIMENT_PATTERN.match(default_name(environment, algorithm))


def test_unknown_names_are_config_errors() -> None:
    with pytest.raises(UnknownNameError):
        _parse({"enviroment": {"id": "CartPole-v1"}})
