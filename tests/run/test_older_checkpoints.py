"""Checkpoints and samples of version 0.1.0 load: the names in them are those of today."""

from __future__ import annotations

from pathlib import Path

import pytest
from whole_runs import untrained

import tinyqueue
from tinyqueue.envs.build import make_environment

ROOT = Path(__file__).resolve().parents[2]
# Variables by network, as a checkpoint of 0.1.0 has them, with the shapes of the networks below.
POLICY = {
    "value_hidden_0/kernel": (4, 8),
    "value_hidden_0/bias": (8,),
    "logits_hidden_0/kernel": (4, 8),
    "logits_hidden_0/bias": (8,),
    "value/kernel": (8, 1),
    "value/bias": (1,),
    "logits/kernel": (8, 2),
    "logits/bias": (2,),
}
Q_VALUES = {
    "q_hidden_0/kernel": (4, 8),
    "q_hidden_0/bias": (8,),
    "q/kernel": (8, 2),
    "q/bias": (2,),
}
RECURRENT = {
    "hidden_0/kernel": (7, 8),
    "hidden_0/bias": (8,),
    "core_input/kernel": (8, 16),
    "core_input/bias": (16,),
    "core_recurrent/kernel": (4, 16),
    "q_value_hidden_0/kernel": (4, 4),
    "q_value_hidden_0/bias": (4,),
    "q_advantage_hidden_0/kernel": (4, 4),
    "q_advantage_hidden_0/bias": (4,),
    "q_value/kernel": (4, 1),
    "q_value/bias": (1,),
    "q_advantage/kernel": (4, 2),
    "q_advantage/bias": (2,),
}
CORE = {"core": "lstm", "core_units": 4, "previous": True}
ADAM = {"optimiser/beta1_power": (), "optimiser/beta2_power": ()}


def in_groups(*groups: str, of: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {f"{group}/{name}": shape for group in groups for name, shape in of.items()}


@pytest.mark.parametrize(
    ("algorithm", "model", "network", "with_target"),
    [
        ("impala", {}, POLICY, False),
        ("a3c", {}, POLICY, False),
        ("ppo", {}, POLICY, False),
        ("dqn", {}, Q_VALUES, True),
        ("r2d2", CORE, RECURRENT, True),
    ],
)
def test_what_a_checkpoint_holds_has_its_old_name_and_shape(
    algorithm: str,
    model: dict[str, object],
    network: dict[str, tuple[int, ...]],
    with_target: bool,
) -> None:
    document = {
        "environment": {"id": "CartPole-v1"},
        "algorithm": {"name": algorithm},
        "model": {"hidden": [8], **model},
    }
    _, checkpoint = untrained(document)

    expected = in_groups("model", "optimiser/first", "optimiser/second", of=network) | ADAM
    if with_target:
        expected |= in_groups("target", of=network) | {"updates": ()}
    assert {name: array.shape for name, array in checkpoint.state.items()} == expected


def test_the_sample_of_pong_acts() -> None:
    learned = tinyqueue.load(ROOT / "samples" / "pong")
    environment = make_environment(learned.spec.environment)
    observation, _ = environment.reset(seed=1)
    state = None
    for _ in range(20):
        action, state = learned.act(observation, state)
        assert environment.action_space.contains(action)
        observation, *_ = environment.step(action)
    environment.close()
