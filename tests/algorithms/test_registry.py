from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from tinyqueue.algorithms.base import Algorithm, Update
from tinyqueue.algorithms.impala import Impala, ImpalaConfig
from tinyqueue.algorithms.registry import ALGORITHMS, checked, find, outputs_of, require_built
from tinyqueue.algorithms.stream import StreamActorCritic, StreamConfig
from tinyqueue.catalogue import make_experiment
from tinyqueue.data.spaces import Leaf
from tinyqueue.errors import ConfigError, UnknownNameError
from tinyqueue.experiment.experiment import parse_experiment
from tinyqueue.models.network import Output
from tinyqueue.models.registry import MODELS

TABLES = {
    "algorithms": {name: entry.Config for name, entry in ALGORITHMS.items()},
    "models": {name: entry.config for name, entry in MODELS.items()},
}


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_every_algorithm_can_be_written_down_and_read_again(name: str) -> None:
    document = {"environment": {"id": "CartPole-v1"}, "algorithm": {"name": name}}
    experiment = parse_experiment(document, **TABLES)
    assert experiment.algorithm == ALGORITHMS[name].Config()
    assert parse_experiment(experiment.document(), **TABLES) == experiment


@pytest.mark.parametrize(
    ("names", "outputs"),
    [
        ({"impala", "a3c", "ppo"}, {"logits": Output(2), "value": Output(1)}),
        ({"dqn", "double-dqn", "q-1step", "q-nstep"}, {"q": Output(2)}),
        ({"rainbow-lite", "apex", "r2d2"}, {"q": Output(2, dueling=True)}),
    ],
)
def test_every_algorithm_says_which_outputs_it_wants(
    names: set[str], outputs: dict[str, Output]
) -> None:
    for name in names:
        entry = ALGORITHMS[name]
        assert entry.outputs({"": Leaf("uint8", (), n=2)}, entry.Config()) == outputs


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gamma", 1.5),
        ("learning_rate", -1),
        ("max_grad_norm", 0),
        ("optimiser", "sgd"),
        ("anneal_steps", -5),
        ("epsilon", float("inf")),
        ("rho_clip", 0),
    ],
)
def test_values_out_of_range_are_refused_by_name(key: str, value: object) -> None:
    refuse("impala", key, value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("n_step", 0),
        ("batch_size", 0),
        ("target_every_updates", 0),
        ("priority_exponent", 1.1),
        ("exploration", "softmax"),
        ("exploration_end", -0.1),
        ("exploration_base", 0),
        ("exploration_steps", 0),
        ("unroll", 0),
        ("burn_in", -1),
        ("max_priority_weight", 2),
    ],
)
def test_so_are_those_of_q_values(key: str, value: object) -> None:
    refuse("r2d2", key, value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0),
        ("minibatches", 0),
        ("clip", 0),
        ("clip_end", -0.1),
        ("max_ratio", 1),
        ("advantages", "n-step"),
        ("value_clip", 0),
        ("lambda_", 1.1),
    ],
)
def test_so_are_those_of_ppo(key: str, value: object) -> None:
    refuse("ppo", key, value)


def refuse(name: str, key: str, value: object) -> None:
    document = {"environment": {"id": "CartPole-v1"}, "algorithm": {"name": name, key: value}}
    with pytest.raises(ConfigError, match=f"algorithm.{key}"):
        parse_experiment(document, **TABLES)


@pytest.mark.parametrize("name", ["rho_clip", "c_clip", "pg_rho_clip"])
def test_clips_are_refused_where_nothing_is_corrected(name: str) -> None:
    environment = {"id": "CartPole-v1"}
    for algorithm in ({"name": "a3c"}, {"name": "impala", "correction": "none"}):
        with pytest.raises(ConfigError, match=f"algorithm.{name} has no effect"):
            make_experiment({"environment": environment, "algorithm": {**algorithm, name: 0.9}})
    # And taken where something is
    corrected = {"name": "a3c", "correction": "vtrace", name: 0.9}
    make_experiment({"environment": environment, "algorithm": corrected})


def test_a_name_that_is_not_known_is_refused_with_the_nearest() -> None:
    assert find("r2d2") is ALGORITHMS["r2d2"]
    with pytest.raises(UnknownNameError, match="did you mean 'impala'"):
        find("imapla")


class Empty(Algorithm[Any, Any]):
    pass


class Half(StreamActorCritic[StreamConfig]):
    Config = StreamConfig


class Whole(Half):
    def update(self, batches: Any, env_steps: int) -> Update:
        return Update({})

    def _learn(self, settings: Any, batch: Any) -> Any:
        return None


@dataclass
class ThawedConfig:
    gamma: float = 0.9


class Thawed(Impala):
    Config: ClassVar[Any] = ThawedConfig


class Replaying(Whole):
    @property
    def replay(self) -> Any:
        return object()


class Unmasked(Whole):
    def __init__(self, config: Any, network: Any, actions: Any) -> None:
        super().__init__(config, network, actions)


class Unchecked(Whole):
    def check(self, config: Any, ticks: int, slots: int) -> None: ...  # type: ignore[override]


class Headless(Whole):
    head: Any = 3  # type: ignore[misc]


class Speechless(Whole):
    def outputs(self, actions: Any, config: Any) -> Any:  # type: ignore[override]
        return None


class Nothing(Whole):
    @classmethod
    def outputs(cls, actions: Any, config: Any) -> Any:
        return None


class Alone:
    Config = ImpalaConfig

    def update(self) -> None: ...


def test_a_users_class_with_everything_will_do() -> None:
    assert checked(Whole, "own.py:Whole") is Whole


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Empty, "lacks Config, head, __init__, outputs, prepare, update, which every algorithm"),
        (Half, "lacks _learn, update, which every algorithm must have"),
        (Thawed, "ThawedConfig must be frozen"),
        (Replaying, "has a replay, and its Config does not say so. Write uses_replay"),
        (
            Unmasked,
            "its __init__ takes (config, network, actions); "
            "it must take (config, network, actions, mask_size=0).",
        ),
        (
            Unchecked,
            "its check takes (self, config, ticks, slots); it must take (config, ticks, slots), "
            "as a classmethod.",
        ),
        (Speechless, "its outputs takes (self, actions, config); it must take (actions, config), "),
        (Headless, "its head is 3; it must be the name of one"),
        (Alone, "must be a class that derives from tinyqueue.algorithms.base.Algorithm"),
        (Alone, "It also lacks head, restore, state."),
        (len, "is not an algorithm"),
    ],
)
def test_a_users_class_is_refused_with_what_it_lacks(found: object, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        checked(found, "own.py:Mine")

    assert str(refused.value).startswith("own.py:Mine")
    assert said in str(refused.value)


def test_an_init_that_leaves_something_out_is_refused() -> None:
    algorithm = Whole.__new__(Whole)
    algorithm.kept = {}

    with pytest.raises(ConfigError, match="Whole: its __init__ must set acting_outputs;"):
        require_built(algorithm, "own.py:Whole")
    algorithm.acting_outputs = ("logits",)
    require_built(algorithm, "own.py:Whole")

    algorithm.kept = []  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="Whole: its kept is a list; it must be a dict"):
        require_built(algorithm, "own.py:Whole")


def test_outputs_that_are_none_are_refused() -> None:
    with pytest.raises(ConfigError, match="Nothing: its outputs returned None; it must return"):
        outputs_of(Nothing, "own.py:Nothing", {}, None)
